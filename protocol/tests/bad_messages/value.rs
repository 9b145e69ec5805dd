//! CBOR's values as a tree, to change one of them. A path names the way: the index in an array, the key in a map.

use ciborium::value::Integer;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(i128),
    Bytes(Vec<u8>),
    Text(String),
    Bool(bool),
    Null,
    Float(f64),
    Array(Vec<Self>),
    /// One key with its value: an enumeration's variant.
    Variant(String, Box<Self>),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value.into())
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl Value {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self::from_cbor(ciborium::from_reader(bytes).unwrap())
    }

    fn from_cbor(value: ciborium::Value) -> Self {
        match value {
            ciborium::Value::Integer(integer) => Self::Integer(integer.into()),
            ciborium::Value::Bytes(bytes) => Self::Bytes(bytes),
            ciborium::Value::Text(text) => Self::Text(text),
            ciborium::Value::Null => Self::Null,
            ciborium::Value::Array(items) => Self::Array(items.into_iter().map(Self::from_cbor).collect()),
            ciborium::Value::Map(mut pairs) => {
                let (key, value) = pairs.pop().unwrap();
                Self::Variant(key.into_text().unwrap(), Box::new(Self::from_cbor(value)))
            }
            other => panic!("{other:?} is in none of our messages"),
        }
    }

    fn to_cbor(&self) -> ciborium::Value {
        match self {
            Self::Integer(integer) => ciborium::Value::Integer(Integer::try_from(*integer).unwrap()),
            Self::Bytes(bytes) => ciborium::Value::Bytes(bytes.clone()),
            Self::Text(text) => ciborium::Value::Text(text.clone()),
            Self::Bool(bool) => ciborium::Value::Bool(*bool),
            Self::Null => ciborium::Value::Null,
            Self::Float(float) => ciborium::Value::Float(*float),
            Self::Array(items) => ciborium::Value::Array(items.iter().map(Self::to_cbor).collect()),
            Self::Variant(key, value) => {
                ciborium::Value::Map(vec![(ciborium::Value::Text(key.clone()), value.to_cbor())])
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(&self.to_cbor(), &mut bytes).unwrap();
        bytes
    }

    /// The kind of type it is of.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "integer",
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "text",
            Self::Bool(_) => "bool",
            Self::Null => "null",
            Self::Float(_) => "float",
            Self::Array(_) => "array",
            Self::Variant(..) => "map",
        }
    }

    /// A value of each kind.
    pub(super) fn one_of_each() -> [Self; 8] {
        [
            Self::Integer(1),
            Self::Bytes(vec![0; 32]),
            Self::Text("Bill".to_owned()),
            Self::Bool(true),
            Self::Null,
            Self::Float(1.0),
            Self::Array(Vec::new()),
            Self::Variant("Bill".to_owned(), Box::new(Self::Integer(1))),
        ]
    }

    fn children(&self) -> Vec<(String, &Self)> {
        match self {
            Self::Array(items) => items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect(),
            Self::Variant(key, value) => vec![(key.clone(), value)],
            _ => Vec::new(),
        }
    }

    /// The paths of all values in it, itself first.
    pub(super) fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = vec![Vec::new()];
        for (step, child) in self.children() {
            paths.extend(child.paths().into_iter().map(|rest| [vec![step.clone()], rest].concat()));
        }
        paths
    }

    /// The paths of all arrays.
    pub(super) fn arrays(&self) -> Vec<Vec<String>> {
        self.paths().into_iter().filter(|path| self.at(path).kind() == "array").collect()
    }

    pub(super) fn at(&self, path: &[String]) -> &Self {
        path.iter().fold(self, |value, step| {
            let (_, child) = value.children().into_iter().find(|(name, _)| name == step).unwrap();
            child
        })
    }

    fn at_mut(&mut self, path: &[String]) -> &mut Self {
        path.iter().fold(self, |value, step| match value {
            Self::Array(items) => &mut items[step.parse::<usize>().unwrap()],
            Self::Variant(key, value) if key == step => value,
            _ => panic!("no value is at {path:?}"),
        })
    }

    /// The bytes with another value at `path`.
    pub(super) fn replaced(&self, path: &[String], with: &Self) -> Vec<u8> {
        let mut copy = self.clone();
        *copy.at_mut(path) = with.clone();
        copy.bytes()
    }

    /// The bytes with a changed array at `path`.
    pub(super) fn changed(&self, path: &[String], change: impl FnOnce(&mut Vec<Self>)) -> Vec<u8> {
        let mut copy = self.clone();
        if let Self::Array(items) = copy.at_mut(path) {
            change(items);
        }
        copy.bytes()
    }
}
