//! What a platform of many routes costs: documents → manifests → rules, for three sizes that show
//! how the cost grows, and how much memory the command takes.
//!
//! `cargo bench --bench generate`; criterion's throughput is routes per second, and so the same for
//! every size where the cost grows linearly.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

mod memory;
mod sample;

use std::hint::black_box;
use std::sync::Arc;

use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::Throughput;
use slidegate::document::node;
use slidegate::manifest;
use slidegate::manifest::Namespace;
use slidegate::manifest::emit;
use slidegate::manifest::emit::Emission;
use slidegate::manifest::read;
use slidegate::manifest::rules;
use slidegate::platform::document;
use slidegate::source;
use slidegate::source::file::File;
use slidegate::source::platform;

/// How many routes there are, each with policies of its own.
const SIZES: [usize; 3] = [1_000, 5_000, 10_000];

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    memory::report(10_000);
    for n_routes in SIZES {
        bench(&mut criterion, n_routes);
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, n_routes: usize) {
    let mut group = criterion.benchmark_group("generate");
    group.throughput(Throughput::Elements(n_routes as u64));
    let mut stage = |name: &str, run: &mut dyn FnMut()| {
        let id = BenchmarkId::new(name, n_routes);
        group.bench_function(id, |bencher| bencher.iter(&mut *run));
    };
    let text = sample::platform(n_routes);
    let files = [File {
        name: Arc::from("platform.yaml"),
        text,
    }];
    let namespace = Namespace::try_from("default").unwrap();
    let documents = [(
        Arc::clone(&files[0].name),
        node::parse(&files[0].name, &files[0].text).unwrap(),
    )];
    let mut faults = Vec::new();
    let platform = document::read(&documents, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    let manifests = emit::manifests(&platform, &namespace);
    let written = manifest::write(&manifests);
    let stream = [File {
        name: Arc::from("manifests.yaml"),
        text: written,
    }];

    stage("documents to manifests, whole", &mut || {
        let (platform, namespace) = platform::read(files.to_vec(), "default").unwrap();
        let mut text = String::new();
        for manifest in Emission::of(&platform, &namespace).manifests() {
            text.clear();
            manifest::write_next(&mut text, &manifest);
            black_box(&text);
        }
    });
    stage("documents to manifests, parsing", &mut || {
        black_box(node::parse(&files[0].name, &files[0].text).unwrap());
    });
    stage("documents to manifests, resolving", &mut || {
        black_box(document::read(&documents, &mut Vec::new()));
    });
    stage("documents to manifests, emitting", &mut || {
        black_box(emit::manifests(&platform, &namespace));
    });
    stage("documents to manifests, writing", &mut || {
        black_box(manifest::write(&manifests));
    });
    stage("manifests to rules", &mut || {
        black_box(rules::domains(&manifests).unwrap());
    });
    stage("manifests, reading", &mut || {
        black_box(read::read(&stream[0].name, &stream[0].text).unwrap());
    });
    stage("manifests to rules, whole", &mut || {
        black_box(source::derived(&stream, "default").unwrap());
    });
    group.finish();
}
