//! The YAML form of a platform, read with every fault in it.

use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::node::Node;
use crate::platform::Platform;

/// Reads the documents of all files as one platform.
pub fn read(files: &[(Arc<str>, Vec<Node>)], faults: &mut Vec<Fault>) -> Platform {
    for (file, documents) in files {
        for document in documents {
            faults.push(At::root(file, document).fault("platform documents are not supported yet"));
        }
    }
    Platform::default()
}
