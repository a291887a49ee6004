//! The way to a node of a document, which is written out only where something is wrong.

use std::fmt;
use std::rc::Rc;

use crate::document::shortened;

/// The way from the root of a document to a node.
#[derive(Clone, Debug)]
pub(super) struct Place<'n> {
    /// The way to the mapping or sequence that it is in; none for the root.
    above: Option<Rc<Self>>,
    step: Step<'n>,
}

/// Where a node is in the one above it.
#[derive(Clone, Copy, Debug)]
enum Step<'n> {
    Root,
    Item(usize),
    Key(&'n str),
}

impl<'n> Place<'n> {
    pub(super) const ROOT: Self = Self {
        above: None,
        step: Step::Root,
    };

    /// The place of an item of the sequence at `above`.
    pub(super) fn item(above: &Rc<Self>, index: usize) -> Self {
        Self {
            above: Some(Rc::clone(above)),
            step: Step::Item(index),
        }
    }

    /// The place of a value of the mapping at `above`.
    pub(super) fn key(above: &Rc<Self>, name: &'n str) -> Self {
        Self {
            above: Some(Rc::clone(above)),
            step: Step::Key(name),
        }
    }
}

/// As `descriptors[0].rate_limit.unit`; nothing for the root.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = &self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Key(name) => {
                let is_below_root = matches!(self.above.as_deref(), Some(it) if it.above.is_none());
                let dot = if is_below_root { "" } else { "." };
                write!(f, "{dot}{}", shortened(name))
            }
        }
    }
}
