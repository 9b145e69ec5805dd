//! What the documents show, piece by piece.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// A command that a document shows.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) document: String,
    pub(crate) heading: String,
    line: usize,
    /// The command as it stands there, without its prompt.
    pub(crate) text: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.document, self.line, self.text)
    }
}

/// A document.
pub(crate) struct Document {
    /// The commands in its `console` blocks.
    pub(crate) commands: Vec<Shown>,
    /// What else stands in a line of its own: all lines in blocks that are not for commands.
    pub(crate) blocks: Vec<Shown>,
    /// What stands between backticks in prose and tables.
    pub(crate) spans: Vec<Shown>,
}

impl Document {
    /// Reads a document, named from the root.
    pub(crate) fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let mut document = Self { commands: Vec::new(), blocks: Vec::new(), spans: Vec::new() };
        let (mut heading, mut block) = (String::new(), None::<&str>);
        // a span may go over lines, not over paragraphs
        let mut paragraph: Option<Shown> = None;
        for (line, content) in (1..).zip(text.lines()) {
            let shown = |text: &str| Shown {
                document: name.to_owned(),
                heading: heading.clone(),
                line,
                text: text.trim().to_owned(),
            };
            if let Some(kind) = content.strip_prefix("```") {
                block = if block.is_none() { Some(kind) } else { None };
            } else if let Some(kind) = block {
                match content.strip_prefix("$ ").filter(|_| kind == "console") {
                    Some(command) => document.commands.push(shown(command)),
                    None => document.blocks.push(shown(content)),
                }
                continue;
            } else if content.starts_with("    ") {
                document.blocks.push(shown(content));
                continue;
            } else if !content.trim().is_empty() && !content.starts_with('#') {
                let paragraph = paragraph.get_or_insert_with(|| shown(""));
                paragraph.text.extend([content.trim(), " "]);
                continue;
            } else if content.starts_with('#') {
                content.trim_start_matches('#').trim().clone_into(&mut heading);
            }
            document.spans.extend(paragraph.take().iter().flat_map(spans));
        }
        document.spans.extend(paragraph.iter().flat_map(spans));
        document
    }
}

/// Every second piece between backticks.
fn spans(paragraph: &Shown) -> Vec<Shown> {
    let pieces = paragraph.text.split('`').skip(1).step_by(2);
    pieces.map(|text| Shown { text: text.to_owned(), ..paragraph.clone() }).collect()
}

/// The repository's documents, named from its root.
pub(crate) fn documents() -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                if !hidden && entry.file_name() != "target" {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.into_os_string().into_string().unwrap());
            }
        }
    }
    found.sort();
    found
}

/// The commands that one test is to run, to be taken one by one.
pub(crate) struct Page(VecDeque<Shown>);

impl Page {
    /// The commands under headings of documents; `*` is a whole document.
    pub(crate) fn of(places: &[(&str, &str)]) -> Self {
        let of_place = |(document, heading): &(&str, &str)| {
            let commands = Document::read(document).commands;
            commands.into_iter().filter(|shown| [&shown.heading, "*"].contains(heading)).collect::<Vec<_>>()
        };
        Self(places.iter().flat_map(of_place).collect())
    }

    /// The next one.
    pub(crate) fn take(&mut self) -> Option<Shown> {
        self.0.pop_front()
    }

    /// The next one, which has to be there.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Shown {
        self.take().expect("the document shows one more command")
    }

    /// All that are left.
    pub(crate) fn rest(&mut self) -> Vec<Shown> {
        self.0.drain(..).collect()
    }
}
