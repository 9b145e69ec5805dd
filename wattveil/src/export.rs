//! Files of released values. They are for the utility's eyes: mode 0600. What a command wrote there before it may write again, so
//! that the same line can be typed again; nothing else is overwritten, and no export is replaced by one that says less: it may be the
//! only copy of what was released.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use tempfile::NamedTempFile;

/// What an export is recognised by, and what tells its rows apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// CSV whose first line begins so; these columns are a row's key.
    Csv {
        /// The first columns.
        begins: &'static str,
        /// The columns of the key.
        key: &'static [&'static str],
    },
    /// JSON whose object, or each of whose objects, has this field; these fields are an object's key.
    Json {
        /// A field of every object.
        has: &'static str,
        /// The fields of the key.
        key: &'static [&'static str],
    },
    /// A picture that begins so. It is drawn anew from what is kept.
    Svg(&'static str),
}

/// Larger than any export, in bytes.
const MOST: u64 = 1 << 28;

/// What an export says: by a row's key, the columns that say something.
type Content = BTreeMap<Vec<String>, BTreeSet<String>>;

impl Kind {
    /// What a text says, if it is such an export.
    fn content(self, text: &str) -> Option<Content> {
        match self {
            Self::Csv { begins, key } => rows(text.starts_with(begins).then_some(text)?, key),
            Self::Json { has, key } => {
                let objects = match serde_json::from_str(text).ok()? {
                    Value::Array(objects) => objects,
                    object => vec![object],
                };
                let mut said = Content::new();
                for object in &objects {
                    object.get(has)?;
                    let key = key.iter().map(|key| object.get(key).map(Value::to_string));
                    let columns = said.entry(key.collect::<Option<_>>()?).or_default();
                    fields("", object, columns);
                }
                Some(said)
            }
            Self::Svg(begins) => text.starts_with(begins).then(Content::new),
        }
    }

    /// Whether a file that begins so may be one.
    fn may_begin(self, prefix: &[u8]) -> bool {
        match self {
            Self::Csv { begins, .. } | Self::Svg(begins) => prefix.starts_with(begins.as_bytes()),
            Self::Json { .. } => matches!(prefix.trim_ascii_start().first(), Some(b'[' | b'{')),
        }
    }
}

/// What a table's rows say.
fn rows(text: &str, key: &[&str]) -> Option<Content> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().ok()?.clone();
    let key: Option<Vec<usize>> =
        key.iter().map(|key| columns.iter().position(|name| name == *key)).collect();
    let (key, mut said) = (key?, Content::new());
    for row in reader.records() {
        let row = row.ok()?;
        let name = key.iter().map(|at| row.get(*at).map(str::to_owned)).collect::<Option<_>>()?;
        let full = columns.iter().zip(&row).filter(|(_, cell)| !cell.is_empty());
        said.entry(name).or_default().extend(full.map(|(column, _)| column.to_owned()));
    }
    Some(said)
}

/// The names of an object's fields that say something, those of objects within it too.
fn fields(above: &str, value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(name, value)| fields(&format!("{above}/{name}"), value, names));
        }
        Value::Null => (),
        _ => drop(names.insert(above.to_owned())),
    }
}

/// Rows as CSV.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    for row in rows {
        table.write_record(row).expect("rows have equal lengths, and a Vec accepts every byte");
    }
    let bytes = table.into_inner().expect("a Vec accepts every byte");
    String::from_utf8(bytes).expect("cells are UTF-8")
}

/// Checks that an export may be written to a file: it is not there and can be made, or is one.
///
/// # Errors
///
/// Another file is there, or something that is no file; a directory in which nothing can be made.
pub(crate) fn check(file: &Path, kind: Kind) -> anyhow::Result<()> {
    before(file, kind)?;
    let home = home(file);
    tempfile::tempfile_in(home).with_context(|| format!("cannot write in {}", home.display()))?;
    Ok(())
}

/// What an export says that is there; nothing, if there is no file.
fn before(file: &Path, kind: Kind) -> anyhow::Result<Content> {
    let shown = file.display();
    anyhow::ensure!(
        file.as_os_str() != "-",
        "expected a file, for example bills.csv; found `-` (without this option, the values are printed to standard output)"
    );
    let metadata = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
    };
    anyhow::ensure!(
        metadata.is_file(),
        "{shown} is {}; an export replaces plain files only; name another file",
        if metadata.is_symlink() { "a link" } else { "not a plain file" }
    );
    let read = || -> io::Result<Option<Content>> {
        let mut open = fs::File::open(file)?;
        let mut text = vec![0; 256];
        let len = open.read(&mut text)?;
        text.truncate(len);
        if metadata.len() > MOST || !kind.may_begin(&text) {
            return Ok(None);
        }
        open.take(MOST).read_to_end(&mut text)?;
        Ok(String::from_utf8(text).ok().and_then(|text| kind.content(&text)))
    };
    read().with_context(|| format!("cannot read {shown}"))?.with_context(|| {
        format!("{shown} exists and is not such an export; name another file, or move this one away")
    })
}

/// Writes an export, whole or not at all.
///
/// # Errors
///
/// If it can't be written, another file is there, or an export that says what this one does not.
pub(crate) fn write(file: &Path, kind: Kind, text: &str) -> anyhow::Result<()> {
    let content = kind.content(text).context("an export does not read as one")?;
    let before = before(file, kind)?;
    let lost: Vec<&Vec<String>> = before
        .iter()
        .filter(|(key, columns)| content.get(*key).is_none_or(|now| !columns.is_subset(now)))
        .map(|(key, _)| key)
        .collect();
    if let Some(first) = lost.first() {
        let shown = file.display();
        anyhow::bail!(
            "{shown} is unchanged: {} of its {} rows would be lost, or a part of them, the first of {}; name another file",
            lost.len(),
            before.len(),
            first.join(", ")
        );
    }
    let write = || -> io::Result<()> {
        // made with mode 0600
        let mut new = NamedTempFile::new_in(home(file))?;
        new.write_all(text.as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// The directory that a file is in.
fn home(file: &Path) -> &Path {
    file.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const TABLE: Kind = Kind::Csv { begins: "name,meter", key: &["meter", "from"] };
    const LIST: Kind = Kind::Json { has: "query", key: &["meter"] };

    /// An export is written again, and nothing that is none.
    #[test]
    fn only_exports_are_written_again() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("bills.csv");
        for text in ["name,meter,from\n", "name,meter,from\na,1,x\n"] {
            check(&file, TABLE).unwrap();
            write(&file, TABLE, text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "a letter\n").unwrap();
        for refused in [check(&file, TABLE), write(&file, TABLE, "name,meter,from\n")] {
            assert!(refused.unwrap_err().to_string().contains("exists and is not such an export"));
        }
        for (text, ours) in [
            ("[]", true),
            ("[{\"query\": 1, \"meter\": 2}]", true),
            ("{\"query\": 1, \"meter\": 2}", true),
            ("[{\"query\": 1}]", false),
            ("[{\"x\": 1}]", false),
            ("[1]", false),
            ("", false),
        ] {
            assert_eq!(LIST.content(text).is_some(), ours, "{text}");
        }
    }

    /// What says more stays: a row or a cell that the new one lacks may be the only copy.
    #[test]
    fn nothing_released_is_lost() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("export");
        let stays = |kind: Kind, old: &str, new: &str, stays: bool| {
            fs::write(&file, old).unwrap();
            let written = write(&file, kind, new);
            assert_eq!(written.is_err(), stays, "{old}{new}{written:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), if stays { old } else { new });
        };
        let two = "name,meter,from,flat\na,1,x,0.5\nb,2,x,0.7\n";
        stays(TABLE, two, "name,meter,from,flat\n", true);
        stays(TABLE, two, "name,meter,from,flat\na,1,x,0.5\n", true);
        stays(TABLE, two, "name,meter,from,flat\na,1,y,0.5\nb,2,y,0.7\n", true);
        stays(TABLE, two, "name,meter,from\na,1,x\nb,2,x\n", true);
        stays(TABLE, two, "name,meter,from,flat\na,1,x,\nb,2,x,0.7\n", true);
        stays(TABLE, two, "name,meter,from,flat,tou\nc,1,x,0.5,1\nb,2,x,0.7,\nd,3,x,,2\n", false);
        let one = r#"[{"query":1,"meter":2,"amounts":{"flat":{"amount":"3"}},"more":null}]"#;
        stays(LIST, one, "[]", true);
        stays(LIST, one, r#"[{"query":1,"meter":2,"amounts":{}}]"#, true);
        stays(
            LIST,
            one,
            r#"[{"query":1,"meter":2,"amounts":{"flat":{"amount":"4"},"tou":{"amount":"5"}}}]"#,
            false,
        );
        fs::write(&file, two).unwrap();
        let said = write(&file, TABLE, "name,meter,from\n").unwrap_err().to_string();
        assert!(
            said.contains("2 of its 2 rows would be lost") && said.contains("name another file"),
            "{said}"
        );
    }

    /// What is no plain file is neither read nor replaced.
    #[test]
    fn plain_files_only() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        symlink(home.path().join("elsewhere"), &link).unwrap();
        for (file, words) in [
            (Path::new("/dev/full"), "/dev/full is not a plain file"),
            (&link, "is a link; an export"),
            (home.path(), "is not a plain file"),
            (Path::new("-"), "found `-`"),
            (&home.path().join("no/such"), "cannot write in"),
        ] {
            let refused = check(file, TABLE).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
        // a file larger than any export is not read
        let large = home.path().join("large");
        fs::write(&large, "name,meter").unwrap();
        fs::File::options().write(true).open(&large).unwrap().set_len(MOST + 1).unwrap();
        assert!(check(&large, TABLE).unwrap_err().to_string().contains("is not such an export"));
    }
}
