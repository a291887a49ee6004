//! Nodes that fit the schema → types, by way of serde.
//!
//! A type holds what we emit and what the translation to rules needs. The other fields have been
//! looked at by the schema, and are passed over here.

use std::fmt;

use serde::Deserialize;
use serde::de;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::IntoDeserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde::forward_to_deserialize_any;

use crate::document::node::Kind;
use crate::document::node::Node;
use crate::document::node::Scalar;

/// A node as a value of a type.
///
/// # Errors
///
/// The first way in which it is none.
pub(super) fn typed<'n, T: Deserialize<'n>>(node: &'n Node) -> Result<T, Mistyped> {
    T::deserialize(Typed(node))
}

/// A node is no value of a type.
#[derive(Clone, Debug)]
pub(super) struct Mistyped {
    /// The line of the node that is none; 0 until it is known.
    pub line: usize,
    /// The keys that lead to it, the last one first.
    pub path: Vec<String>,
    /// What was expected.
    pub message: String,
}

// === impl Mistyped ===

impl Mistyped {
    /// The error of a value, in the place where the value stands.
    fn below(mut self, step: impl Into<String>, node: &Node) -> Self {
        self.path.push(step.into());
        if self.line == 0 {
            self.line = node.line;
        }
        self
    }
}

impl de::Error for Mistyped {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            line: 0,
            path: Vec::new(),
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Mistyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistyped {}

/// A node to read from.
#[derive(Clone, Copy)]
struct Typed<'n>(&'n Node);

impl<'n> Typed<'n> {
    fn is_null(self) -> bool {
        matches!(&self.0.kind, Kind::Scalar(scalar) if scalar.is_null())
    }

    fn scalar(self) -> Result<&'n Scalar, Mistyped> {
        match &self.0.kind {
            Kind::Scalar(scalar) => Ok(scalar),
            Kind::Mapping(_) | Kind::Sequence(_) => {
                Err(de::Error::custom("expected a single value"))
            }
        }
    }

    /// The entries of a mapping whose keys are among these; null is as good as absent.
    fn map<V: Visitor<'n>>(
        self,
        fields: Option<&[&str]>,
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        let Kind::Mapping(entries) = &self.0.kind else {
            return Err(de::Error::custom("expected a mapping"));
        };
        let is_meant = |(key, value): &&(Node, Node)| {
            let is_field = |name: &str| fields.is_none_or(|fields| fields.contains(&name));
            let is_key = matches!(&key.kind, Kind::Scalar(key) if is_field(&key.text));
            is_key && !Typed(value).is_null()
        };
        visitor.visit_map(Entries {
            rest: entries.iter().filter(is_meant),
            value: None,
        })
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
            let text = &self.scalar()?.text;
            match text.parse::<u64>() {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => match text.parse::<i64>() {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) => Err(de::Error::custom(format!("`{text}` is no whole number"))),
                },
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Typed<'de> {
    type Error = Mistyped;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        match &self.0.kind {
            Kind::Mapping(_) => self.map(None, visitor),
            Kind::Sequence(_) => self.deserialize_seq(visitor),
            Kind::Scalar(scalar) if scalar.is_null() => visitor.visit_unit(),
            Kind::Scalar(scalar) => visitor.visit_borrowed_str(&scalar.text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        let text = &self.scalar()?.text;
        match text.to_ascii_lowercase().as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(de::Error::custom(format!(
                "`{text}` is neither true nor false"
            ))),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        visitor.visit_borrowed_str(&self.scalar()?.text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        if self.is_null() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        let Kind::Sequence(items) = &self.0.kind else {
            return Err(de::Error::custom("expected a list"));
        };
        visitor.visit_seq(Items(items.iter().enumerate()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        self.map(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        visitor.visit_enum(self.scalar()?.text.as_str().into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

/// The entries of a mapping, one after the other.
struct Entries<'n, I> {
    rest: I,
    /// The one whose key has been read.
    value: Option<&'n (Node, Node)>,
}

impl<'n, I: Iterator<Item = &'n (Node, Node)>> MapAccess<'n> for Entries<'n, I> {
    type Error = Mistyped;

    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistyped> {
        self.value = self.rest.next();
        let key = self.value.map(|(key, _)| seed.deserialize(Typed(key)));
        key.transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(&mut self, seed: V) -> Result<V::Value, Mistyped> {
        let (key, value) = self.value.expect("serde asks for a key before its value");
        let name = || Typed(key).scalar().map_or("?", |key| &key.text).to_owned();
        let read = seed.deserialize(Typed(value));
        read.map_err(|error| error.below(name(), value))
    }
}

/// The items of a sequence, one after the other.
struct Items<'n>(std::iter::Enumerate<std::slice::Iter<'n, Node>>);

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = Mistyped;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mistyped> {
        let Some((index, item)) = self.0.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(Typed(item));
        read.map(Some)
            .map_err(|error| error.below(format!("[{index}]"), item))
    }
}
