//! The product's promise: no window of length W, wherever it begins, holds more than N.

mod adversary;
mod cheaters;
mod disturbed;
mod front_door;
mod record;

use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use slidegate::rule::limit::Unit;
use slidegate::store::Store;
use slidegate::store::memory::MemoryStore;
use slidegate::store::redis::Clock;
use slidegate::store::redis::RedisStore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::strictness::adversary::Adversary;
use crate::strictness::adversary::Breach;
use crate::strictness::adversary::Leases;
use crate::strictness::adversary::Move;
use crate::strictness::adversary::Replica;
use crate::strictness::adversary::Used;
use crate::strictness::cheaters::Cheating;
use crate::strictness::cheaters::FixedWindow;
use crate::strictness::cheaters::TwoBuckets;
use crate::strictness::cheaters::TwoSteps;
use crate::support::redis::Redis;

#[tokio::test]
async fn memory_is_never_over() {
    attack(&[(Arc::new(MemoryStore::default()), Leases::Off)], 98).await;
}

#[tokio::test]
async fn redis_is_never_over() {
    let Some(redis) = Redis::start() else {
        return;
    };
    attack(&OnRedis::connect(&redis, &[Leases::Off]).await.replicas, 98).await;
}

#[tokio::test]
async fn redis_with_leases_is_never_over() {
    let Some(redis) = Redis::start() else {
        return;
    };
    attack(&OnRedis::connect(&redis, &[Leases::On]).await.replicas, 98).await;
}

#[tokio::test]
async fn three_replicas_on_redis_are_never_over() {
    let Some(redis) = Redis::start() else {
        return;
    };
    attack(
        &OnRedis::connect(&redis, &[Leases::Off; 3]).await.replicas,
        95,
    )
    .await;
}

#[tokio::test]
async fn three_replicas_with_leases_on_redis_are_never_over() {
    let Some(redis) = Redis::start() else {
        return;
    };
    attack(
        &OnRedis::connect(&redis, &[Leases::On; 3]).await.replicas,
        95,
    )
    .await;
}

#[tokio::test]
async fn replicas_with_leases_and_one_without_are_never_over() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let leases = [Leases::On, Leases::Off, Leases::On];
    attack(&OnRedis::connect(&redis, &leases).await.replicas, 95).await;
}

#[tokio::test]
async fn replicas_whose_ledgers_have_room_for_one_key_are_never_over() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let leases = [Leases::Crowded; 3];
    attack(&OnRedis::connect(&redis, &leases).await.replicas, 95).await;
}

#[tokio::test]
async fn replicas_that_give_back_late_are_never_over() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let leases = [Leases::Late; 3];
    attack(&OnRedis::connect(&redis, &leases).await.replicas, 90).await;
}

#[test]
fn random_schedules_bring_memory_over_nowhere() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let runtime = runtime();
    for leases in [Leases::Crowded, Leases::Late, Leases::Off, Leases::On] {
        let replicas = [Leases::On, leases, Leases::On].map(|it| (Arc::clone(&store), it));
        play_at_random(128, |key, game| {
            let key = format!("{leases:?}-{key}");
            runtime.block_on(play(&replicas, &key, game))
        });
    }
}

#[test]
fn random_schedules_bring_redis_over_nowhere() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let leases: [&[Leases]; 6] = [
        &[Leases::Off],
        &[Leases::On],
        &[Leases::Off; 3],
        &[Leases::On; 3],
        &[Leases::Crowded; 3],
        &[Leases::Late; 3],
    ];
    for (index, leases) in leases.into_iter().enumerate() {
        let runtime = runtime();
        let on_redis = runtime.block_on(OnRedis::connect(&redis, leases));
        play_at_random(32, |key, game| {
            let key = format!("{index}-{key}");
            runtime.block_on(play(&on_redis.replicas, &key, game))
        });
    }
}

#[tokio::test]
async fn a_counter_of_two_weighted_buckets_is_caught() {
    let store: Arc<dyn Store> = Arc::new(Cheating::<TwoBuckets>::default());
    let mut adversary = Adversary::new(&[(store, Leases::Off)], "k", (100, Unit::Minute));
    adversary.play(&late_then_early(100)).await.unwrap_err();
}

#[tokio::test]
async fn a_fixed_window_is_caught() {
    let store: Arc<dyn Store> = Arc::new(Cheating::<FixedWindow>::default());
    let mut adversary = Adversary::new(&[(store, Leases::Off)], "k", (100, Unit::Minute));
    adversary.play(&late_then_early(100)).await.unwrap_err();
}

#[tokio::test]
async fn a_store_that_reads_and_writes_in_two_steps_is_caught() {
    let store: Arc<dyn Store> = Arc::new(Cheating::<TwoSteps>::default());
    let adversary = Adversary::new(&[(store, Leases::Off)], "k", (10, Unit::Minute));
    assert!(adversary.storm(200).await > 10);
}

/// Every planned attack; under saturation so many percent of an exact log's hits must be used.
async fn attack(replicas: &[Replica], percent: u64) {
    for (index, limit) in [1, 3, 64, 65, 100, 1_000].into_iter().enumerate() {
        let key = |name: &str| format!("{name}-{index}");
        let game = |name: &str| Adversary::new(replicas, &key(name), (limit, Unit::Minute));
        for moves in [
            late_then_early(limit),
            trickle_then_burst(limit),
            waves(limit),
        ] {
            let name = format!("{}-{}", moves.len(), index);
            let mut adversary = Adversary::new(replicas, &name, (limit, Unit::Minute));
            adversary.play(&moves).await.unwrap();
        }
        let used = game("saturate").play(&saturation(limit)).await.unwrap();
        assert!(
            used.hits * 100 >= used.of * percent,
            "limit {limit}: {used:?}"
        );
        game("change").play(&changes(limit)).await.unwrap();
        let mut reporting = game("report").reporting();
        reporting.play(&reports(limit)).await.unwrap();
        let admitted = game("storm").storm(200).await;
        let most = 200.min(limit as usize);
        // What one replica holds for a while another is refused: no more than a share each.
        let n_leasing = replicas
            .iter()
            .filter(|(_, leases)| *leases != Leases::Off)
            .count();
        let share = if limit > 64 { limit.div_ceil(64) } else { 0 };
        let held = n_leasing.saturating_sub(1) * share as usize;
        assert!(
            (most.saturating_sub(held)..=most).contains(&admitted),
            "limit {limit}: {admitted}"
        );
    }
}

/// A full limit at the end of one aligned minute, and another at the beginning of the next.
fn late_then_early(limit: u32) -> Vec<Move> {
    let mut moves = vec![Move::Wait(59 * S + 900_000)];
    for (wait, n_hits) in [
        (200_000, limit + 5),
        (30 * S, limit + 5),
        (29 * S, limit + 5),
    ] {
        moves.extend((0..n_hits).map(|index| Move::Send(index as usize, 1)));
        moves.push(Move::Wait(wait));
    }
    moves
}

/// Hits that come evenly for a window, then as many as go at its end and again after it.
fn trickle_then_burst(limit: u32) -> Vec<Move> {
    let mut moves = Vec::new();
    for _ in 0..2 {
        for index in 0..limit / 2 {
            moves.push(Move::Send(index as usize, 1));
            moves.push(Move::Wait(2 * MINUTE / u64::from(limit)));
        }
        moves.extend((0..limit + 1).map(|index| Move::Send(index as usize, 1)));
        moves.push(Move::Wait(MINUTE / 3));
        moves.extend((0..limit + 1).map(|index| Move::Send(index as usize, 1)));
    }
    moves
}

/// Bursts of mixed costs whose distance is no divisor of the window.
fn waves(limit: u32) -> Vec<Move> {
    let mut moves = Vec::new();
    for wave in 0..40_u64 {
        for index in 0..1 + limit / 8 {
            let cost = 1 + (wave * 7 + u64::from(index) * 3) % 5;
            moves.push(Move::Send(index as usize, cost));
            moves.push(Move::Wait(1 + wave * 13));
        }
        moves.push(Move::Wait(7 * S + wave * 31_337));
    }
    moves
}

/// Far more than passes, for four windows.
fn saturation(limit: u32) -> Vec<Move> {
    let n_hits = 4 * 3 * limit;
    let wait = |index: u32| 4 * MINUTE / u64::from(n_hits) + u64::from(index % 7) * 11;
    (0..n_hits)
        .flat_map(|index| [Move::Send(index as usize, 1), Move::Wait(wait(index))])
        .collect()
}

/// The limit changes, the key is reset and the clock steps back in the middle of it.
fn changes(limit: u32) -> Vec<Move> {
    let mut moves = Vec::new();
    let interruptions = [
        Move::Limit(limit / 2),
        Move::StepBack(500_000),
        Move::Limit(limit * 2),
        Move::StepBack(10 * S),
        Move::Limit(limit),
        Move::Reset,
        Move::StepBack(3_600 * S),
        Move::Limit(limit / 3 + 1),
        Move::StepBack(999_999),
    ];
    for interruption in interruptions {
        for index in 0..limit {
            moves.push(Move::Send(index as usize, 1 + u64::from(index % 3)));
            moves.push(Move::Wait(MINUTE / u64::from(2 * limit)));
        }
        moves.push(interruption);
    }
    moves
}

/// A check before each report, as Envoy sends them for costs that the response tells.
fn reports(limit: u32) -> Vec<Move> {
    let mut moves = Vec::new();
    for index in 0..200_u64 {
        moves.push(Move::Send(index as usize, 0));
        moves.push(Move::Wait(40_000));
        moves.push(Move::Send(index as usize + 1, 2 + index % u64::from(limit)));
        moves.push(Move::Send(index as usize + 2, 1));
        moves.push(Move::Wait(index % 11 * S));
    }
    moves
}

/// A game with moves that nobody planned.
#[derive(Clone, Debug)]
struct Game {
    limit: u32,
    unit: Unit,
    is_reporting: bool,
    moves: Vec<Move>,
}

fn games() -> impl Strategy<Value = Game> {
    let cost = prop_oneof![5 => Just(1_u64), 2 => 0_u64..5, 1 => 5_u64..80];
    let wait = prop_oneof![
        4 => 0_u64..1_000_000,
        3 => 1_000_000_u64..10_000_000,
        1 => 10_000_000_u64..70_000_000
    ];
    let step = prop_oneof![
        60 => (0..3_usize, cost).prop_map(|(replica, cost)| Move::Send(replica, cost)),
        30 => wait.prop_map(Move::Wait),
        2 => (0_u32..200).prop_map(Move::Limit),
        1 => Just(Move::Reset),
        2 => (0_u64..100 * S).prop_map(Move::StepBack),
    ];
    (
        prop_oneof![0_u32..10, 60_u32..70, 100_u32..400],
        prop_oneof![Just(Unit::Minute), Just(Unit::Hour)],
        any::<bool>(),
        prop::collection::vec(step, 1..300),
    )
        .prop_map(|(limit, unit, is_reporting, moves)| Game {
            limit,
            unit,
            is_reporting,
            moves,
        })
}

fn play_at_random(n_games: u32, play: impl Fn(&str, &Game) -> Result<Used, Breach>) {
    let config = ProptestConfig::with_cases(n_games);
    let n_played = Cell::new(0_u64);
    let outcome = TestRunner::new(config).run(&games(), |game| {
        n_played.set(n_played.get() + 1);
        let outcome = play(&format!("game-{}", n_played.get()), &game);
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
        Ok(())
    });
    outcome.unwrap();
}

async fn play(replicas: &[Replica], key: &str, game: &Game) -> Result<Used, Breach> {
    let mut adversary = Adversary::new(replicas, key, (game.limit, game.unit));
    if game.is_reporting {
        adversary = adversary.reporting();
    }
    adversary.play(&game.moves).await
}

/// Replicas' stores on one Redis, on the adversary's clock.
struct OnRedis {
    replicas: Vec<Replica>,
    _keepers: JoinSet<()>,
}

impl OnRedis {
    async fn connect(redis: &Redis, leases: &[Leases]) -> Self {
        let mut keepers = JoinSet::new();
        let mut replicas: Vec<Replica> = Vec::new();
        for leases in leases {
            let (store, keeper) = RedisStore::new(&redis.url(), Clock::Caller).unwrap();
            keepers.spawn(keeper.run(CancellationToken::new()));
            store.is_up().wait_for(|is_up| *is_up).await.unwrap();
            replicas.push((Arc::new(store), *leases));
        }
        Self {
            replicas,
            _keepers: keepers,
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

const S: u64 = 1_000_000;
const MINUTE: u64 = 60 * S;
