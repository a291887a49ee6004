//! What comes of requests: hits are used, or put back.

use crate::algorithm::Hits;
use crate::limiter::ledger::flight::Grant;
use crate::limiter::ledger::flight::Reply;
use crate::limiter::ledger::simulation::record::Use;
use crate::limiter::ledger::simulation::world::Request;
use crate::limiter::ledger::simulation::world::World;
use crate::store::Answer;

impl World {
    pub(super) fn reply_alone(&mut self, request: usize, index: usize, answer: Option<Answer>) {
        let reply = match answer {
            Some(it) if it.decision.fits => {
                let grant = Grant {
                    hits: it.granted,
                    booked: it.booked,
                    ..Grant::default()
                };
                Reply::Granted(it.decision, grant)
            }
            Some(it) => Reply::Refused(it.decision),
            None => Reply::Failed,
        };
        self.reply(request, index, reply);
    }

    pub(super) fn reply(&mut self, request: usize, index: usize, reply: Reply) {
        if self.requests[request].is_over {
            self.put_back(request, index, reply);
            return;
        }
        self.requests[request].replies[index] = Some(reply);
        let replies = &self.requests[request].replies;
        if replies.iter().all(Option::is_some) {
            let is_granted = |reply: &Option<Reply>| matches!(reply, Some(Reply::Granted(..)));
            let admitted = replies.iter().all(is_granted);
            self.end(request, admitted);
        }
    }

    /// Ends a request: admitted, or with everything put back that it was granted.
    pub(super) fn end(&mut self, request: usize, admitted: bool) {
        if std::mem::replace(&mut self.requests[request].is_over, true) {
            return;
        }
        self.requests[request].admitted = admitted;
        for index in 0..self.requests[request].takes.len() {
            let is_ask = matches!(self.requests[request].takes[index].hits, Hits::Ask(_));
            if admitted && is_ask {
                self.use_hits(request, index);
            } else if let Some(reply) = self.requests[request].replies[index] {
                self.put_back(request, index, reply);
            }
        }
    }

    pub(super) fn use_hits(&mut self, request: usize, index: usize) {
        let Request {
            begin, ref takes, ..
        } = self.requests[request];
        let (hits, limit) = match takes[index].hits {
            Hits::Ask(hits) => (hits, Some(u64::from(takes[index].limit))),
            Hits::Report(hits) => (hits, None),
        };
        let used = Use {
            begin,
            end: self.now,
            hits,
            limit,
        };
        let key = usize::from(takes[index].key[0]);
        if key > 0 || begin >= self.begun_anew {
            self.uses[key].push(used);
        }
    }

    fn put_back(&mut self, request: usize, index: usize, reply: Reply) {
        let Request {
            replica, ref takes, ..
        } = self.requests[request];
        if let (Reply::Granted(_, grant), Hits::Ask(_)) = (reply, takes[index].hits) {
            let now = self.local(replica);
            self.replicas[replica]
                .ledger
                .put_back(&takes[index], grant, now);
        }
    }
}
