//! Nodes → types, by way of serde, with every fault.
//!
//! A type holds what we emit and what the translation to rules needs. Types whose every field decides
//! about limits deny other fields. In the other types a field that nobody knows is a fault if it is
//! nearly one that is known; else it is left to the API server.

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::IntoDeserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde::de::value::BorrowedStrDeserializer;
use serde::forward_to_deserialize_any;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::near;
use crate::document::node::Kind;
use crate::document::node::Node;
use crate::document::quoted;

/// What stands in a place as a value of a type; none, with every fault, if it is no such value.
pub(super) fn typed<'n, T: Deserialize<'n>>(at: &At<'n>, faults: &mut Vec<Fault>) -> Option<T> {
    let notes = Notes::default();
    let mut value = None;
    while notes.left_out.borrow().len() < MAX_LEFT_OUT {
        let node = match T::deserialize(Typed::new(at, &notes)) {
            Ok(read) => {
                value = Some(read);
                break;
            }
            Err(mistyped) => mistyped.note(at, &notes),
        };
        if std::ptr::eq(node, at.node()) {
            break;
        }
        // Without what has a fault, the next fault is found.
        notes.left_out.borrow_mut().push(node);
    }
    let mut found = notes.faults.into_inner();
    let is_good = found.is_empty();
    faults.append(&mut found);
    value.filter(|_| is_good)
}

/// What was found so far.
#[derive(Debug, Default)]
struct Notes<'n> {
    faults: RefCell<Vec<Fault>>,
    left_out: RefCell<Vec<&'n Node>>,
}

// === impl Notes ===

impl<'n> Notes<'n> {
    fn is_left_out(&self, node: &Node) -> bool {
        let left_out = self.left_out.borrow();
        left_out.iter().any(|it| std::ptr::eq(*it, node))
    }

    /// Notes a fault once, however often it is met.
    fn add(&self, fault: Fault) {
        let mut faults = self.faults.borrow_mut();
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }

    /// The entries of a mapping that are to be read. Null is as good as absent.
    fn entries(&self, mapping: Mapping<'n>, fields: Option<&[&str]>) -> Vec<(&'n str, At<'n>)> {
        let is_read = |(name, at): &(&'n str, At<'n>)| {
            if at.is_null() || self.is_left_out(at.node()) {
                return false;
            }
            match fields {
                Some(fields) if !fields.contains(name) => match near::nearest(name, fields) {
                    Some(_) if OTHERS.contains(name) => true,
                    Some(near) => {
                        let message = format!(
                            "unknown field {}: did you mean {}?",
                            quoted(name),
                            quoted(near)
                        );
                        self.add(at.fault(message));
                        false
                    }
                    None => true,
                },
                _ => true,
            }
        };
        mapping.into_entries().filter(is_read).collect()
    }
}

/// A place is no value of a type.
#[derive(Debug)]
struct Mistyped<'n> {
    /// The innermost place that is known.
    at: Option<Box<At<'n>>>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The fault with its place.
    Found(Box<Fault>),
    /// A field is not there.
    Missing(&'static str),
    /// What was expected.
    Other(String),
}

// === impl Mistyped ===

impl<'n> Mistyped<'n> {
    fn new(what: What) -> Self {
        Self { at: None, what }
    }

    fn at(mut self, at: &At<'n>) -> Self {
        self.at.get_or_insert_with(|| Box::new(at.clone()));
        self
    }

    /// Notes the fault, and says what has it.
    fn note(self, root: &At<'n>, notes: &Notes<'n>) -> &'n Node {
        let at = self.at.as_deref().unwrap_or(root);
        match self.what {
            What::Found(fault) => notes.add(*fault),
            What::Other(message) => notes.add(at.fault(message)),
            What::Missing(name) => {
                let is_there = |mapping: Mapping<'n>| {
                    let mut entries = mapping.into_entries();
                    entries.any(|(key, at)| key == name && !at.is_null())
                };
                // It may be missing only because its fault was noted.
                if !at.mapping(&mut Vec::new()).is_some_and(is_there) {
                    notes.add(at.fault(format!("`{name}` is missing")));
                }
            }
        }
        at.node()
    }
}

impl de::Error for Mistyped<'_> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(What::Other(message.to_string()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(What::Missing(field))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let instead = near::instead(field, expected, "expected nothing");
        Self::custom(format_args!("unknown field {}: {instead}", quoted(field)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let instead = near::instead(variant, expected, "expected nothing");
        Self::custom(format_args!("unknown value {}: {instead}", quoted(variant)))
    }
}

impl fmt::Display for Mistyped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Found(fault) => fault.fmt(f),
            What::Missing(field) => write!(f, "`{field}` is missing"),
            What::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Mistyped<'_> {}

/// A place to read from.
#[derive(Debug)]
struct Typed<'a, 'n> {
    at: &'a At<'n>,
    notes: &'a Notes<'n>,
}

// === impl Typed ===

impl<'a, 'n> Typed<'a, 'n> {
    fn new(at: &'a At<'n>, notes: &'a Notes<'n>) -> Self {
        Self { at, notes }
    }

    /// What a reader makes of the place; what it reports besides is noted.
    fn read<T>(
        &self,
        read: impl FnOnce(&At<'n>, &mut Vec<Fault>) -> Option<T>,
    ) -> Result<T, Mistyped<'n>> {
        let mut faults = Vec::new();
        let value = read(self.at, &mut faults);
        let last = if value.is_none() { faults.pop() } else { None };
        for fault in faults {
            self.notes.add(fault);
        }
        value.ok_or_else(|| {
            let what = last.map_or_else(
                || What::Other("unexpected value".to_owned()),
                |fault| What::Found(Box::new(fault)),
            );
            Mistyped::new(what).at(self.at)
        })
    }

    fn map<V: Visitor<'n>>(
        &self,
        fields: Option<&[&str]>,
        visitor: V,
    ) -> Result<V::Value, Mistyped<'n>> {
        let mapping = self.read(At::mapping)?;
        visitor.visit_map(Entries {
            rest: self.notes.entries(mapping, fields).into_iter(),
            value: None,
            notes: self.notes,
        })
    }
}

macro_rules! numbers {
    ($($method:ident $number:ty,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped<'de>> {
            let bound = |bound: i128| i64::try_from(bound).unwrap_or(i64::MAX);
            let (min, max) = (bound(<$number>::MIN.into()), bound(<$number>::MAX.into()));
            visitor.visit_i64(self.read(|at, faults| at.integer(min, max, faults))?)
        })*
    };
}

impl<'de> Deserializer<'de> for Typed<'_, 'de> {
    type Error = Mistyped<'de>;

    numbers! {
        deserialize_i8 i8, deserialize_i16 i16, deserialize_i32 i32, deserialize_i64 i64,
        deserialize_u8 u8, deserialize_u16 u16, deserialize_u32 u32, deserialize_u64 u64,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.at.kind() {
            Kind::Mapping(_) => self.map(None, visitor),
            Kind::Sequence(_) => self.deserialize_seq(visitor),
            Kind::Scalar(scalar) if scalar.is_null() => visitor.visit_unit(),
            Kind::Scalar(scalar) => visitor.visit_borrowed_str(&scalar.text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_bool(self.read(At::boolean)?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.read(At::string)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let items = self.read(|at, faults| {
            at.is_list().then_some(()).or_else(|| {
                at.items(faults);
                None
            })
        });
        items?;
        let mut items = self.at.items(&mut Vec::new());
        items.retain(|at| !self.notes.is_left_out(at.node()));
        visitor.visit_seq(Items {
            rest: items.into_iter(),
            notes: self.notes,
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.map(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.read(At::string)?.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

/// The entries of a mapping, one after the other.
struct Entries<'a, 'n> {
    rest: std::vec::IntoIter<(&'n str, At<'n>)>,
    /// Of the one whose key has been read.
    value: Option<At<'n>>,
    notes: &'a Notes<'n>,
}

impl<'n> MapAccess<'n> for Entries<'_, 'n> {
    type Error = Mistyped<'n>;

    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        let Some((name, at)) = self.rest.next() else {
            return Ok(None);
        };
        let key = seed.deserialize(BorrowedStrDeserializer::new(name));
        let key = key.map_err(|error: Self::Error| error.at(&at));
        self.value = Some(at);
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let at = self.value.take();
        let at = at.expect("serde asks for a key before its value");
        let value = seed.deserialize(Typed::new(&at, self.notes));
        value.map_err(|error| error.at(&at))
    }
}

/// The items of a list, one after the other.
struct Items<'a, 'n> {
    rest: std::vec::IntoIter<At<'n>>,
    notes: &'a Notes<'n>,
}

impl<'n> SeqAccess<'n> for Items<'_, 'n> {
    type Error = Mistyped<'n>;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        let Some(at) = self.rest.next() else {
            return Ok(None);
        };
        let item = seed.deserialize(Typed::new(&at, self.notes));
        item.map(Some).map_err(|error| error.at(&at))
    }
}

/// How many faults of a manifest are looked for, besides those of unknown fields.
const MAX_LEFT_OUT: usize = 100;

/// Fields of the CRDs that no type has beside a field whose name is nearly theirs.
const OTHERS: &[&str] = &["backendRef", "header", "pathOverride", "targetRef"];
