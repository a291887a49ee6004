//! Items that a list may hold once only.

use std::collections::HashSet;

use serde_json::Map;
use serde_json::Value;

use crate::support::crd::schema::List;
use crate::support::crd::schema::Structural;

/// Names every item that repeats an earlier one.
pub(crate) fn check(schema: &Structural, value: &Value, faults: &mut Vec<String>) {
    schema.visit(value, "", &mut |schema, value, path| {
        let Some(items) = value.as_array() else {
            return;
        };
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let what = match &schema.list {
                List::Atomic => return,
                List::Map(keys) => keys_of(item, keys),
                List::Set => item.clone(),
            };
            let what = what.to_string();
            if seen.contains(&what) {
                faults.push(format!("{path}[{index}]: duplicate value: {what}"));
            }
            seen.insert(what);
        }
    });
}

/// An item without all but these keys.
fn keys_of(item: &Value, keys: &[String]) -> Value {
    let found = keys.iter().map(|key| (key.clone(), item[key].clone()));
    Value::Object(found.collect::<Map<_, _>>())
}
