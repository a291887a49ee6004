//! More keys than a ledger has room for.

use super::*;

#[test]
fn a_flood_of_keys_ends_leases_and_gives_them_back_but_no_take_under_way() {
    let ledger = ledger(1);
    lease(&ledger, 0);
    let flight = sent(ask(&ledger, "other", 1, 5 * MS));
    assert_eq!(ledger.unused().len(), 1);
    for key in 0..1_000 {
        assert!(matches!(
            ask(&ledger, &key.to_string(), 1, 6 * MS),
            Asked::Unkept
        ));
    }
    assert_eq!(settle(&ledger, &flight, 1, 7 * MS).replies.len(), 1);
    assert!(matches!(ask(&ledger, "third", 1, 8 * MS), Asked::Sends(_)));
}

#[test]
fn a_flood_of_new_keys_takes_little_beside_each_key_and_then_no_more() {
    let ledger = ledger(MAX_KEYS);
    for key in 0..MAX_KEYS + 100_000 {
        let flight = sent(ask(&ledger, &key.to_string(), 1, 0));
        settle(&ledger, &flight, 1, MS);
        if key % 50_000 == 0 {
            ledger.unused();
        }
    }
    let n_kept = |shard: &Mutex<Shard<u32>>| shard.lock().accounts().count();
    let n_kept: usize = ledger.shards.iter().map(n_kept).sum();
    assert!(n_kept <= MAX_KEYS);
    assert!(n_kept * 100 >= MAX_KEYS * 98, "{n_kept} of {MAX_KEYS} kept");
    let bytes = ledger.bytes();
    assert!(bytes <= 103 * MAX_KEYS, "{bytes} bytes");
}
