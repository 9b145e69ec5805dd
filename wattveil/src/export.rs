//! Files of released values. They are for the utility's eyes: mode 0600. What a command wrote there before it may write again, so
//! that the same line can be typed again; nothing else is overwritten.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// What an export is recognised by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// CSV whose first line begins so.
    Csv(&'a str),
    /// JSON whose object, or each of whose objects, has this key.
    Json(&'a str),
}

impl Kind<'_> {
    fn is_of(self, text: &str) -> bool {
        match self {
            Self::Csv(header) => text.starts_with(header),
            Self::Json(key) => match serde_json::from_str(text) {
                Ok(serde_json::Value::Array(objects)) => {
                    objects.iter().all(|object| object.get(key).is_some())
                }
                Ok(object) => object.get(key).is_some(),
                Err(_) => false,
            },
        }
    }
}

/// Checks that an export may be written to a file: it is not there, or is one.
///
/// # Errors
///
/// Another file is there.
pub(crate) fn check(file: &Path, kind: Kind<'_>) -> anyhow::Result<()> {
    let ours = !file.exists() || fs::read_to_string(file).is_ok_and(|text| kind.is_of(&text));
    anyhow::ensure!(
        ours,
        "{} is there already, and is no such export; name another file, or move it away",
        file.display()
    );
    Ok(())
}

/// Writes an export, whole or not at all.
///
/// # Errors
///
/// If it can't be written.
pub(crate) fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let home = file.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let write = || -> std::io::Result<()> {
        // made with mode 0600
        let mut new = NamedTempFile::new_in(home)?;
        new.write_all(text.as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// An export is written again, and nothing that is none.
    #[test]
    fn only_exports_are_written_again() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("bills.csv");
        for text in ["name,meter\na,1\n", "name,meter\n"] {
            check(&file, Kind::Csv("name,meter")).unwrap();
            write(&file, text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "a letter\n").unwrap();
        assert!(check(&file, Kind::Csv("name,meter")).unwrap_err().to_string().contains("is there already"));
        for (text, ours) in [
            ("[]", true),
            ("[{\"query\": 1}]", true),
            ("{\"query\": 1}", true),
            ("[{\"x\": 1}]", false),
            ("[1]", false),
            ("", false),
        ] {
            assert_eq!(Kind::Json("query").is_of(text), ours, "{text}");
        }
    }
}
