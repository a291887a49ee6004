//! What goes wrong: messages late and lost, clocks that step back, replicas that stand still or die.

use crate::limiter::ledger::simulation::plot::DRAINS;
use crate::limiter::ledger::simulation::plot::KILLS;
use crate::limiter::ledger::simulation::plot::LIMITS_CHANGE;
use crate::limiter::ledger::simulation::plot::LOST;
use crate::limiter::ledger::simulation::plot::PAUSES;
use crate::limiter::ledger::simulation::plot::RESETS;
use crate::limiter::ledger::simulation::plot::STEPS_BACK;
use crate::limiter::ledger::simulation::plot::VERY_LATE;
use crate::limiter::ledger::simulation::record::breach;
use crate::limiter::ledger::simulation::world::Event;
use crate::limiter::ledger::simulation::world::World;
use crate::limiter::ledger::simulation::world::ledger;
use crate::limiter::ledger::simulation::world::trap::MESSAGE;

impl World {
    /// Now and then something happens that should not.
    pub(super) fn go_wrong(&mut self) {
        let odds = self.rng.u32(..3_000);
        let life = self.life();
        let replica = self.rng.usize(..3);
        match odds {
            0..6 if self.plot.may(PAUSES) => {
                self.replicas[replica].paused_until = self.now + self.rng.u64(..3 * life);
            }
            6..10 if self.plot.may(DRAINS) => self.replicas[replica].ledger.drain(),
            10..14 if self.plot.may(STEPS_BACK) => {
                let micros = [life, 1_000_000, 100_000_000][self.rng.usize(..3)];
                self.stepped_back += self.rng.u64(..micros);
            }
            18..22 if self.plot.may(KILLS) => self.kill(replica),
            22..26 if self.plot.may(RESETS) => self.reset(),
            14..18 if self.plot.may(LIMITS_CHANGE) => {
                self.limit = self.rng.u32(1..2 * self.limit + 2);
                let limit = self.limit;
                for request in self.requests.iter_mut().filter(|it| it.begin > self.now) {
                    for take in &mut request.takes {
                        take.limit = limit / (1 + u32::from(take.key == [1]));
                    }
                }
            }
            _ => {}
        }
    }

    /// Another replica begins in its place. Who waited there is never answered.
    fn kill(&mut self, replica: usize) {
        let now = self.now;
        self.replicas[replica].ledger = ledger(&self.plot, &self.metrics);
        self.replicas[replica].n_deaths += 1;
        let waiting = self.requests.iter_mut().filter(|it| it.begin <= now);
        for request in waiting.filter(|it| it.replica == replica) {
            request.is_over = true;
        }
    }

    /// The first key begins anew: what was used before does not count any more.
    pub(super) fn reset(&mut self) {
        let clock = self.store_clock();
        self.store.reset(&[0], clock);
        let window = self.window.micros();
        let uses = &mut self.uses[0];
        self.breach = self.breach.or_else(|| breach(uses, window));
        uses.clear();
        self.begun_anew = self.now;
    }

    /// Sends a message, which takes its time and may get lost. Who waits for the answer to a lost
    /// one learns of that at some time.
    pub(super) fn send(&mut self, event: Event) {
        let life = self.life();
        let late = self.plot.may(VERY_LATE) && self.rng.u32(..5) == 0;
        let delay = match (late, &event) {
            (true, Event::GivesBack(_)) => self.rng.u64(..self.window.micros() * 3 / 2),
            (true, _) => self.rng.u64(..3 * life),
            (false, Event::GivesBack(_)) if self.give_backs_take > 0 => self.give_backs_take,
            (false, Event::Returns((0, _), ..)) if self.answers_take > 0 => self.answers_take,
            (false, _) => self.rng.u64(100..MESSAGE),
        };
        let is_lost = self.plot.may(LOST) && self.rng.u32(..30) == 0;
        let event = match event {
            event if !is_lost => event,
            Event::Executes(replica, flight) | Event::Returns(replica, flight, _) => {
                Event::Returns(replica, flight, None)
            }
            Event::ExecutesAlone(request, index) | Event::ReturnsAlone(request, index, _) => {
                Event::ReturnsAlone(request, index, None)
            }
            _ => return,
        };
        self.plan(self.now + delay, event);
    }
}
