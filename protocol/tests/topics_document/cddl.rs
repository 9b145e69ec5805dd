//! The part of CDDL [RFC 8610] that `mqtt-topics.md` uses: arrays with named fields, maps of one text key, choices,
//! ranges, literals, occurrences, `.size` and `.cbor`.

use std::collections::{BTreeMap, BTreeSet};

use ciborium::Value;

/// Rules by name.
pub(super) struct Cddl(BTreeMap<String, Type>);

enum Type {
    Name(String),
    /// An integer from, to and with the second.
    Range(i128, i128),
    Text(String),
    Array(Vec<Entry>),
    Map(String, Box<Self>),
    Choice(Vec<Self>),
    /// A string of so many bytes, at least and at most.
    Size(Box<Self>, usize, usize),
    /// A byte string that holds this.
    Cbor(Box<Self>),
}

struct Entry {
    field: Option<String>,
    least: usize,
    most: usize,
    is: Type,
}

impl Cddl {
    pub(super) fn parse(text: &str) -> Self {
        let mut tokens = Tokens { list: tokens(text), at: 0 };
        let mut rules = BTreeMap::new();
        while tokens.at < tokens.list.len() {
            let name = tokens.next();
            tokens.expect("=");
            let is = tokens.choice();
            assert!(rules.insert(name.clone(), is).is_none(), "{name} is defined twice");
        }
        Self(rules)
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    /// Every name that a rule uses.
    pub(super) fn references(&self) -> BTreeSet<String> {
        fn of(is: &Type, found: &mut BTreeSet<String>) {
            match is {
                Type::Name(name) => drop(found.insert(name.clone())),
                Type::Range(..) | Type::Text(_) => (),
                Type::Array(entries) => entries.iter().for_each(|entry| of(&entry.is, found)),
                Type::Map(_, is) | Type::Size(is, ..) | Type::Cbor(is) => of(is, found),
                Type::Choice(choices) => choices.iter().for_each(|is| of(is, found)),
            }
        }
        let mut found = BTreeSet::new();
        self.0.values().for_each(|is| of(is, &mut found));
        found
    }

    /// The names of an array's fields.
    pub(super) fn fields(&self, rule: &str) -> Vec<&str> {
        let Type::Array(entries) = &self.0[rule] else { panic!("{rule} is no array") };
        entries.iter().filter_map(|entry| entry.field.as_deref()).collect()
    }

    /// Whether bytes are what a rule says; if not, where they differ.
    pub(super) fn check(&self, rule: &str, bytes: &[u8]) -> Result<(), String> {
        self.bytes_are(&self.0[rule], bytes).map_err(|reason| format!("{rule}: {reason}"))
    }

    fn bytes_are(&self, is: &Type, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        let value: Value = ciborium::from_reader(&mut rest).map_err(|error| error.to_string())?;
        if rest.is_empty() { self.is(is, &value) } else { Err(format!("{} bytes follow", rest.len())) }
    }

    fn is(&self, is: &Type, value: &Value) -> Result<(), String> {
        let refused = |what: &str| Err(format!("{value:?} is not {what}"));
        match (is, value) {
            (Type::Name(name), _) => match (name.as_str(), value) {
                ("bstr", Value::Bytes(_)) | ("tstr", Value::Text(_)) | ("null", Value::Null) => Ok(()),
                ("bstr" | "tstr" | "null", _) => refused(name),
                _ => self.is(&self.0[name], value).map_err(|reason| format!("{name}: {reason}")),
            },
            (Type::Range(from, to), Value::Integer(integer))
                if (*from..=*to).contains(&(*integer).into()) =>
            {
                Ok(())
            }
            (Type::Range(from, to), _) => refused(&format!("{from} to {to}")),
            (Type::Text(wanted), Value::Text(text)) if wanted == text => Ok(()),
            (Type::Text(wanted), _) => refused(wanted),
            (Type::Array(entries), Value::Array(items)) => self.items_are(entries, items),
            (Type::Array(_), _) => refused("an array"),
            (Type::Map(key, of), Value::Map(pairs)) => match &pairs[..] {
                [(Value::Text(found), value)] if found == key => self.is(of, value),
                _ => refused(key),
            },
            (Type::Map(key, _), _) => refused(key),
            (Type::Choice(choices), _) => {
                let reasons: Result<Vec<String>, ()> =
                    choices.iter().map(|is| self.is(is, value).err().ok_or(())).collect();
                reasons.map_or(Ok(()), |reasons| Err(reasons.join("; ")))
            }
            (Type::Size(of, least, most), _) => {
                let len = match value {
                    Value::Bytes(bytes) => bytes.len(),
                    Value::Text(text) => text.len(),
                    _ => return refused("a string"),
                };
                if (*least..=*most).contains(&len) { self.is(of, value) } else { refused("of that size") }
            }
            (Type::Cbor(of), Value::Bytes(bytes)) => self.bytes_are(of, bytes),
            (Type::Cbor(_), _) => refused("a byte string"),
        }
    }

    fn items_are(&self, entries: &[Entry], items: &[Value]) -> Result<(), String> {
        let mut rest = items;
        for Entry { field, least, most, is } in entries {
            let field = field.as_deref().unwrap_or("an item");
            let mut found = 0;
            // our lists stand alone in their array, so the first item that does not fit ends it
            while let [item, others @ ..] = rest
                && found < *most
            {
                match self.is(is, item) {
                    Ok(()) => (found, rest) = (found + 1, others),
                    Err(reason) if found < *least || entries.len() == 1 => {
                        return Err(format!("{field}: {reason}"));
                    }
                    Err(_) => break,
                }
            }
            if found < *least {
                return Err(format!("{found} of {field}, at least {least} wanted"));
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(format!("{} items too many", rest.len())) }
    }
}

/// Words, numbers, texts and marks, without comments.
fn tokens(text: &str) -> Vec<String> {
    let mut list = Vec::new();
    for line in text.lines() {
        let line = line.split(';').next().unwrap_or_default();
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = match first {
                '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
                _ if rest.starts_with("=>") || rest.starts_with("..") => 2,
                '-' | '.' | 'a'..='z' | '0'..='9' => word(rest),
                _ => 1,
            };
            list.push(rest[..len].to_owned());
            rest = rest[len..].trim_start();
        }
    }
    list
}

/// A name, a number, or a control operator with its dot.
fn word(text: &str) -> usize {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text[1..].find(|c| !inner(c)).map_or(text.len(), |end| end + 1)
}

struct Tokens {
    list: Vec<String>,
    at: usize,
}

impl Tokens {
    fn peek(&self, ahead: usize) -> &str {
        self.list.get(self.at + ahead).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.list[self.at - 1].clone()
    }

    fn expect(&mut self, token: &str) {
        let found = self.next();
        assert_eq!(found, token, "at token {} of the CDDL", self.at);
    }

    fn takes(&mut self, token: &str) -> bool {
        let there = self.peek(0) == token;
        self.at += usize::from(there);
        there
    }

    fn number(&mut self) -> i128 {
        let token = self.next();
        token.parse().unwrap_or_else(|_| panic!("{token} is no number"))
    }

    fn choice(&mut self) -> Type {
        let mut choices = vec![self.controlled()];
        while self.takes("/") {
            choices.push(self.controlled());
        }
        if choices.len() == 1 { choices.remove(0) } else { Type::Choice(choices) }
    }

    fn controlled(&mut self) -> Type {
        let of = self.single();
        if self.takes(".cbor") {
            return Type::Cbor(Box::new(self.single()));
        }
        if self.takes(".size") {
            let (least, most) = if self.takes("(") {
                let least = self.number();
                self.expect("..");
                let most = self.number();
                self.expect(")");
                (least, most)
            } else {
                let size = self.number();
                (size, size)
            };
            let size = |number: i128| usize::try_from(number).unwrap();
            return Type::Size(Box::new(of), size(least), size(most));
        }
        of
    }

    fn single(&mut self) -> Type {
        match self.peek(0).chars().next() {
            Some('0'..='9' | '-') => {
                let from = self.number();
                let to = if self.takes("..") { self.number() } else { from };
                Type::Range(from, to)
            }
            Some('"') => Type::Text(self.next().trim_matches('"').to_owned()),
            Some('[') => {
                self.expect("[");
                let mut entries = Vec::new();
                while !self.takes("]") {
                    entries.push(self.entry());
                    assert!(self.takes(",") || self.peek(0) == "]");
                }
                Type::Array(entries)
            }
            Some('{') => {
                self.expect("{");
                let key = self.next().trim_matches('"').to_owned();
                self.expect("=>");
                let of = self.choice();
                self.expect("}");
                Type::Map(key, Box::new(of))
            }
            _ => Type::Name(self.next()),
        }
    }

    /// `field: type`, or a type with an occurrence: `*`, `1*`, `*9`, `1*9`.
    fn entry(&mut self) -> Entry {
        if self.peek(1) == ":" {
            let field = Some(self.next());
            self.expect(":");
            return Entry { field, least: 1, most: 1, is: self.choice() };
        }
        let (mut least, mut most) = (1, 1);
        if self.peek(0) == "*" || self.peek(1) == "*" {
            let count = |number: i128| usize::try_from(number).unwrap();
            least = if self.peek(0) == "*" { 0 } else { count(self.number()) };
            self.expect("*");
            let bounded = self.peek(0).parse::<u32>().is_ok();
            most = if bounded { count(self.number()) } else { usize::MAX };
        }
        Entry { field: None, least, most, is: self.choice() }
    }
}
