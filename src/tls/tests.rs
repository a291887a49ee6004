//! What is used of files that change, and when.

use std::path::PathBuf;

use rcgen::CertificateParams;
use rcgen::KeyPair;
use rcgen::date_time_ymd;
use tempfile::TempDir;

use super::*;
use crate::tls::server::ServerFiles;

#[test]
fn a_pair_is_used_from_the_look_that_finds_it() {
    let (dir, files) = pair(2_000, 2_100);
    let kept = Kept::new(files).unwrap();
    let mut follower = follower(&kept);
    let first = kept.config();
    follower.look(&kept, IN_2050);
    assert!(Arc::ptr_eq(&first, &kept.config()), "nothing has changed");
    write(&dir, 2_000, 2_200);
    follower.look(&kept, IN_2050);
    assert!(!Arc::ptr_eq(&first, &kept.config()));
}

#[test]
fn a_pair_that_does_not_hold_now_does_not_replace_another() {
    let (dir, files) = pair(2_000, 2_100);
    let kept = Kept::new(files).unwrap();
    let mut follower = follower(&kept);
    let first = kept.config();
    for (from, until) in [(2_000, 2_040), (2_060, 2_100)] {
        write(&dir, from, until);
        follower.look(&kept, IN_2050);
        assert!(Arc::ptr_eq(&first, &kept.config()));
    }
}

#[test]
fn files_that_are_half_written_are_looked_at_again() {
    let (dir, files) = pair(2_000, 2_100);
    let kept = Kept::new(files).unwrap();
    let mut follower = follower(&kept);
    let first = kept.config();
    let key = dir.path().join("key");
    let other = KeyPair::generate().unwrap().serialize_pem();
    let good = fs::read(&key).unwrap();
    fs::write(&key, other).unwrap();
    follower.look(&kept, IN_2050);
    assert!(Arc::ptr_eq(&first, &kept.config()), "another key");
    fs::remove_file(&key).unwrap();
    follower.look(&kept, IN_2050);
    assert!(Arc::ptr_eq(&first, &kept.config()), "no key");
    fs::write(&key, good).unwrap();
    follower.look(&kept, IN_2050);
    assert!(!Arc::ptr_eq(&first, &kept.config()), "the first key");
}

#[test]
fn a_certificate_in_use_that_ends_is_complained_of_once() {
    let (dir, files) = pair(2_000, 2_040);
    let kept = Kept::new(files).unwrap();
    let mut follower = follower(&kept);
    let complaints = [IN_2030, IN_2050, IN_2050].map(|now| {
        follower.look(&kept, now);
        follower.has_complained
    });
    assert_eq!(complaints, [false, true, true]);
    write(&dir, 2_000, 2_100);
    follower.look(&kept, IN_2050);
    assert!(!follower.has_complained);
}

fn follower(kept: &Kept<ServerFiles>) -> Follower {
    Follower {
        seen: kept.first.clone(),
        has_complained: false,
    }
}

/// A directory with a certificate that holds between the beginnings of these years, and its key.
fn pair(from: i32, until: i32) -> (TempDir, ServerFiles) {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, from, until);
    let file = |name: &str| -> PathBuf { dir.path().join(name) };
    let files = ServerFiles {
        certificate: file("certificate"),
        key: file("key"),
        clients: None,
    };
    (dir, files)
}

fn write(dir: &TempDir, from: i32, until: i32) {
    let mut params = CertificateParams::new(["service".to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(dir.path().join("certificate"), certificate.pem()).unwrap();
    fs::write(dir.path().join("key"), key.serialize_pem()).unwrap();
}

/// Seconds since the Unix epoch: the beginnings of these years.
const IN_2030: u64 = 1_893_456_000;
const IN_2050: u64 = 2_524_608_000;
