//! Both stores are a sorted map, whatever is done to them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::process;

use proptest::collection::vec;
use proptest::prelude::*;
use store::{FileStore, MemoryStore, Store, StoreError, Table};
use tempfile::TempDir;

const CACHE: usize = 1 << 20;
const TABLES: [Table; 2] = [Table("one"), Table("two")];

#[derive(Clone, Debug)]
enum Op {
    Put(Table, Vec<u8>, Vec<u8>),
    Remove(Table, Vec<u8>),
    Get(Table, Vec<u8>),
    Range(Table, Vec<u8>, Vec<u8>, usize),
    Commit,
    /// Stop without a commit, and start again.
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let table = || prop_oneof![Just(TABLES[0]), Just(TABLES[1])];
    let key = || vec(0..4_u8, 0..4);
    prop_oneof![
        6 => (table(), key(), vec(any::<u8>(), 0..20)).prop_map(|(table, key, value)| Op::Put(table, key, value)),
        2 => (table(), key()).prop_map(|(table, key)| Op::Remove(table, key)),
        2 => (table(), key()).prop_map(|(table, key)| Op::Get(table, key)),
        3 => (table(), key(), key(), 0..8_usize).prop_map(|(table, a, b, limit)| Op::Range(table, a, b, limit)),
        1 => Just(Op::Commit),
        1 => Just(Op::Restart),
    ]
}

type Map = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// File, memory and map agree after every operation, also over restarts.
    #[test]
    fn both_stores_are_a_sorted_map_that_keeps_what_was_committed(ops in vec(op(), 0..80)) {
        let folder = TempDir::new()?;
        let path = folder.path().join("store");
        let mut file = FileStore::open(&path, CACHE)?;
        let mut memory = MemoryStore::default();
        let mut map = Map::new();
        let mut committed = Map::new();
        for op in ops {
            match op {
                Op::Put(table, key, value) => {
                    file.put(table, &key, &value)?;
                    memory.put(table, &key, &value)?;
                    map.insert((table, key), value);
                }
                Op::Remove(table, key) => {
                    file.remove(table, &key)?;
                    memory.remove(table, &key)?;
                    map.remove(&(table, key));
                }
                Op::Get(table, key) => {
                    let expected = map.get(&(table, key.clone())).cloned();
                    prop_assert_eq!(&file.get(table, &key)?, &expected);
                    prop_assert_eq!(&memory.get(table, &key)?, &expected);
                }
                Op::Range(table, start, end, limit) => {
                    let expected: Vec<_> = map
                        .iter()
                        .filter(|((of, key), _)| *of == table && start <= *key && *key < end)
                        .map(|((_, key), value)| (key.clone(), value.clone()))
                        .take(limit)
                        .collect();
                    prop_assert_eq!(&file.range(table, &start..&end, limit)?, &expected);
                    prop_assert_eq!(&memory.range(table, &start..&end, limit)?, &expected);
                }
                Op::Commit => {
                    file.commit()?;
                    memory.commit()?;
                    committed.clone_from(&map);
                }
                Op::Restart => {
                    drop(file);
                    file = FileStore::open(&path, CACHE)?;
                    memory.crash();
                    map.clone_from(&committed);
                }
            }
            prop_assert_eq!(file.pending(), memory.pending());
        }
    }
}

#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let mut store = FileStore::open(&path, CACHE).unwrap();
    store.put(TABLES[0], b"key", b"value").unwrap();
    store.commit().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_second_opener_is_told_who_has_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let first = FileStore::open(&path, CACHE).unwrap();
    let error = FileStore::open(&path, CACHE).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("is in use by another process"), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    drop(first);
    FileStore::open(&path, CACHE).unwrap();
}

/// A crash while the file is being made leaves nothing that stands in the way.
#[test]
fn what_an_interrupted_creation_left_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    fs::write(folder.path().join(format!("store.{}.new", process::id())), [0; 4096]).unwrap();
    FileStore::open(&path, CACHE).unwrap();
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store"]);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nowhere").join("store");
    let error = FileStore::open(&path, CACHE).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "not a store ".repeat(1000)).unwrap();
    let error = FileStore::open(&path, CACHE).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "not a store ".repeat(1000));
}

/// One damaged byte in a page that holds data: refused at the opening, whichever page it is.
#[test]
fn a_damaged_file_is_refused_without_a_panic() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let mut store = FileStore::open(&path, CACHE).unwrap();
    for key in 0..200_u32 {
        store.put(TABLES[0], &key.to_be_bytes(), &[0xab; 500]).unwrap();
    }
    store.commit().unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    let places: Vec<usize> = whole
        .windows(64)
        .enumerate()
        .filter_map(|(place, bytes)| (place % 4096 == 2048 && bytes == [0xab; 64]).then_some(place))
        .collect();
    assert!(places.len() >= 20, "only {} pages hold data", places.len());
    let mut refused = 0;
    for place in places.iter().step_by(5) {
        fs::write(&path, &whole).unwrap();
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(*place as u64)).unwrap();
        file.write_all(&[0xcd]).unwrap();
        drop(file);
        match FileStore::open(&path, CACHE) {
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
                refused += 1;
            }
            // a page that nothing refers to any more
            Ok(store) => assert_eq!(store.range(TABLES[0], &[][..]..&[255][..], 300).unwrap().len(), 200),
        }
    }
    assert!(refused > 0);
}

#[test]
fn prints_no_contents() {
    let folder = TempDir::new().unwrap();
    let mut store = FileStore::open(&folder.path().join("store"), CACHE).unwrap();
    store.put(TABLES[0], b"name", b"secret").unwrap();
    let printed = format!("{store:?}");
    assert!(
        !printed.contains("name") && !printed.contains("115") && printed.contains("pending: 1"),
        "{printed}"
    );
}
