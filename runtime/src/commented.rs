//! Configurations as people read them: a template with every parameter and what it means, filled in with values.
//!
//! A template is TOML in which `key = value` and `#key = value` are parameters, `[table]` and `#[table]` tables, and
//! everything else is text. What comes out is the template with the values in their places, parameters without a value
//! commented out, and what the template does not know behind it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Why a configuration can't be written.
#[derive(Debug, thiserror::Error)]
pub enum CommentedError {
    /// The values have no form in TOML.
    #[error("the configuration can't be written as TOML")]
    Values(#[from] toml::ser::Error),
    /// What would be written does not say what the values say.
    #[error("the configuration would be read as another one")]
    Another,
}

/// The template, filled in: values that are the template's own defaults stay comments.
///
/// # Errors
///
/// [`CommentedError`].
pub fn render<T: Serialize + DeserializeOwned>(template: &str, config: &T) -> Result<String, CommentedError> {
    let values = Table::try_from(config)?;
    let is_default = |keys: &[String]| is_default::<T>(&values, keys);
    let text = Filling::new(template, &values, &is_default).text()?;
    let read = toml::from_str::<T>(&text).ok().and_then(|read| Table::try_from(read).ok());
    if read.as_ref() == Some(&values) { Ok(text) } else { Err(CommentedError::Another) }
}

/// Whether the values are the same without this one.
fn is_default<T: Serialize + DeserializeOwned>(values: &Table, keys: &[String]) -> bool {
    let Some((key, tables)) = keys.split_last() else { return false };
    let mut without = values.clone();
    let table = tables.iter().try_fold(&mut without, |table, key| table.get_mut(key)?.as_table_mut());
    if table.is_none_or(|table| table.remove(key).is_none()) {
        return false;
    }
    let read = without.try_into::<T>().ok().and_then(|read| Table::try_from(read).ok());
    read.as_ref() == Some(values)
}

type Keys = Vec<String>;

/// A line of a template.
enum Line<'a> {
    /// `[a.b]` or `[[a]]`, also behind a `#`.
    Header {
        keys: Keys,
        of_many: bool,
    },
    /// `key = value`, also behind a `#`.
    Parameter {
        key: &'a str,
        value: &'a str,
        commented: bool,
    },
    Text,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let (commented, rest) = line.strip_prefix('#').map_or((false, line), |rest| (true, rest));
        let name = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let inner =
            |open, close| rest.strip_prefix(open).and_then(|rest: &str| rest.trim_end().strip_suffix(close));
        let many = inner("[[", "]]");
        if let Some(keys) = many.or_else(|| inner("[", "]")) {
            let keys: Keys = keys.split('.').map(str::to_owned).collect();
            if keys.iter().all(|key| name(key)) {
                return Self::Header { keys, of_many: many.is_some() };
            }
        }
        match rest.split_once(" = ") {
            Some((key, value)) if name(key) => Self::Parameter { key, value: value.trim(), commented },
            _ => Self::Text,
        }
    }
}

struct Filling<'a> {
    template: &'a str,
    values: &'a Table,
    /// Whether a parameter need not be written.
    is_default: &'a dyn Fn(&[String]) -> bool,
    /// The tables that the template has.
    headers: BTreeSet<Keys>,
    taken: BTreeSet<Keys>,
    out: Vec<String>,
}

impl<'a> Filling<'a> {
    fn new(template: &'a str, values: &'a Table, is_default: &'a dyn Fn(&[String]) -> bool) -> Self {
        let headers = template.lines().filter_map(|line| match Line::parse(line) {
            Line::Header { keys, of_many: false } => Some(keys),
            _ => None,
        });
        let headers = headers.collect();
        Self { template, values, is_default, headers, taken: BTreeSet::new(), out: Vec::new() }
    }

    fn table(&self, keys: &[String]) -> Option<&'a Table> {
        keys.iter().try_fold(self.values, |table, key| table.get(key)?.as_table())
    }

    fn text(mut self) -> Result<String, toml::ser::Error> {
        // the table that lines are in; none within an example of several
        let mut here = Some(Keys::new());
        for line in self.template.lines() {
            match Line::parse(line) {
                Line::Header { keys, of_many } => {
                    self.finish(here.as_ref());
                    let plain = line.trim_start_matches('#');
                    let live = !of_many && self.table(&keys).is_some();
                    self.out.push(if live { plain.to_owned() } else { format!("#{plain}") });
                    here = (!of_many).then_some(keys);
                }
                Line::Parameter { key, value, commented } => {
                    let filled = here.as_ref().and_then(|keys| self.fill(keys, key, value, commented));
                    let plain = line.trim_start_matches('#');
                    self.out.push(filled.unwrap_or_else(|| format!("#{plain}")));
                }
                Line::Text => self.out.push(line.to_owned()),
            }
        }
        self.finish(here.as_ref());
        let mut text = self.out.join("\n");
        text.push('\n');
        let rest = self.rest(self.values, &[]);
        if !rest.is_empty() {
            text.push('\n');
            text.push_str(&toml::to_string(&rest)?);
        }
        Ok(text)
    }

    /// What comes behind the template: several of a kind, and tables that it does not know.
    fn rest(&self, table: &Table, above: &[String]) -> Table {
        let mut rest = Table::new();
        for (key, value) in table {
            let path = [above, std::slice::from_ref(key)].concat();
            let known = self.headers.iter().any(|header| header.starts_with(&path));
            match value.as_table() {
                Some(below) if known => {
                    let below = self.rest(below, &path);
                    if !below.is_empty() {
                        rest.insert(key.clone(), below.into());
                    }
                }
                below => {
                    if (is_many(value) || below.is_some()) && !self.taken.contains(&path) {
                        rest.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        rest
    }

    /// The line of a parameter that has a value.
    fn fill(&mut self, here: &[String], key: &str, default: &str, commented: bool) -> Option<String> {
        let value = self.table(here)?.get(key)?;
        if is_many(value) {
            return None;
        }
        let keys = [here, &[key.to_owned()]].concat();
        let value = value.to_string();
        let spared = commented && value == default && (self.is_default)(&keys);
        self.taken.insert(keys);
        (!spared).then(|| format!("{key} = {value}"))
    }

    /// Puts what a table has beyond the template behind its last parameter.
    fn finish(&mut self, here: Option<&Keys>) {
        let Some(keys) = here else { return };
        let Some(table) = self.table(keys) else { return };
        let mut lines = Vec::new();
        for (key, value) in table {
            let path = [&keys[..], std::slice::from_ref(key)].concat();
            let has_header = self.headers.iter().any(|header| header.starts_with(&path));
            let later = is_many(value) || has_header || (keys.is_empty() && value.is_table());
            if !later && self.taken.insert(path) {
                lines.push(format!("{key} = {value}"));
            }
        }
        let prose = |line: &String| line.is_empty() || matches!(Line::parse(line), Line::Text);
        let behind = self.out.iter().rposition(|line| !prose(line)).map_or(0, |last| last + 1);
        self.out.splice(behind..behind, lines);
    }
}

/// Whether it is written as `[[key]]`.
fn is_many(value: &Value) -> bool {
    value.as_array().is_some_and(|values| values.first().is_some_and(Value::is_table))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Config {
        name: String,
        user: Option<String>,
        pace: Pace,
        source: Source,
        #[serde(default)]
        release: Vec<Release>,
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(default)]
    struct Pace {
        slots: u32,
        rest: u32,
        more: Option<Release>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        each: Vec<Release>,
    }

    impl Default for Pace {
        fn default() -> Self {
            Self { slots: 4, rest: 5, more: None, each: Vec::new() }
        }
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Source {
        Csv { file: String },
        Lines { input: String },
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Release {
        of: u32,
    }

    const TEMPLATE: &str = "# A file.\n\n# Who.\nname = \"x\"\n#user = \"a\"\n\n[pace]\n# Slots.\n#slots = 4\n\n# One of:\n\
        [source.lines]\ninput = \"-\"\n\n#[source.csv]\n# Where.\n#file = \"f\"\n\n[[release]]\nof = 1\n";

    /// Values stand where the template explains them, defaults stay comments, examples go, and nothing is lost.
    #[test]
    fn values_stand_where_they_are_explained() {
        let pace = || Pace { more: Some(Release { of: 9 }), ..Pace::default() };
        let source = || Source::Csv { file: "g".into() };
        let config = Config {
            name: "b".into(),
            user: None,
            pace: pace(),
            source: source(),
            release: vec![Release { of: 2 }],
        };
        let text = render(TEMPLATE, &config).unwrap();
        assert_eq!(
            text,
            "# A file.\n\n# Who.\nname = \"b\"\n#user = \"a\"\n\n[pace]\n# Slots.\n#slots = 4\nmore = { of = 9 }\nrest = 5\n\n\
             # One of:\n#[source.lines]\n#input = \"-\"\n\n[source.csv]\n# Where.\nfile = \"g\"\n\n#[[release]]\n#of = 1\n\n\
             [[release]]\nof = 2\n"
        );
        // the example's own value, where it is no default, is written out
        let config = Config { user: Some("a".into()), source: Source::Lines { input: "-".into() }, ..config };
        let text = render(TEMPLATE, &config).unwrap();
        assert!(text.contains("\nuser = \"a\"\n") && text.contains("\n#[source.csv]\n"), "{text}");
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        // several of a kind within a table that the template has
        let each = vec![Release { of: 7 }, Release { of: 8 }];
        let config = Config { pace: Pace { each, ..pace() }, release: Vec::new(), ..config };
        let text = render(TEMPLATE, &config).unwrap();
        assert!(text.ends_with("\n[[pace.each]]\nof = 7\n\n[[pace.each]]\nof = 8\n"), "{text}");
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    }
}
