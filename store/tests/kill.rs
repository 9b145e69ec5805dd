//! A process that dies by `kill -9` between, before or within commits.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use store::{FileStore, Store, Table};
use tempfile::TempDir;

const CACHE: usize = 1 << 20;
const GROUPS: Table = Table("groups");
const ROWS: u8 = 50;
const CHILD: &str = "STORE_OF_THE_CHILD";

/// The groups of a store in order; panics when one of them is not whole.
fn whole_groups(store: &FileStore) -> Vec<u64> {
    let rows = store.range(GROUPS, &[][..]..&[255][..], usize::MAX).expect("the store reads");
    rows.chunks(ROWS.into())
        .map(|rows| {
            let group = &rows[0].0[..8];
            assert_eq!(rows.len(), usize::from(ROWS), "a part of a group");
            for (row, (key, value)) in (0..ROWS).zip(rows) {
                assert_eq!((&key[..8], key[8], &value[..]), (group, row, [row; 100].as_slice()));
            }
            u64::from_be_bytes(group.try_into().expect("8 bytes"))
        })
        .collect()
}

/// The child of the test below: commits one group after another, says so after each, and never ends by itself.
#[test]
fn the_child_commits_until_it_is_killed() {
    let Ok(path) = env::var(CHILD) else { return };
    let mut store = FileStore::open(Path::new(&path), CACHE).unwrap();
    for group in whole_groups(&store).last().map_or(0, |last| last + 1).. {
        for row in 0..ROWS {
            let mut key = group.to_be_bytes().to_vec();
            key.push(row);
            store.put(GROUPS, &key, &[row; 100]).unwrap();
        }
        store.commit().unwrap();
        println!("committed {group}");
    }
}

#[test]
fn kill_9_loses_nothing_committed_and_leaves_no_part_of_a_group() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let mut known = 0;
    for round in 0..12 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_child_commits_until_it_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // killed after some commits, wherever it then is; lines that were under way count too
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            if let Some(group) = line.split("committed ").nth(1) {
                known = group.parse::<u64>().unwrap() + 1;
                seen += 1;
                if seen == 3 + round {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(seen >= 3 + round, "the child ended after {seen} commits");
        let groups = whole_groups(&FileStore::open(&path, CACHE).unwrap());
        let found = groups.len() as u64;
        assert_eq!(groups, (0..found).collect::<Vec<_>>());
        assert!(found == known || found == known + 1, "{found} groups, {known} were said to be committed");
        known = found;
    }
}
