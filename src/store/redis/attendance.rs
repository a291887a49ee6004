//! Which replicas count in this Redis, by their own word.

use std::sync::Arc;

use ::redis::Cmd;
use ::redis::Script;

use crate::store::Presence;
use crate::store::StoreError;
use crate::store::redis::script::unexpected;
use crate::store::redis::topology::Link;

/// Makes replicas known.
pub(super) struct Attendance {
    link: Arc<Link>,
    script: Script,
    /// The command that makes the script known.
    load: Cmd,
}

impl Attendance {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let mut load = ::redis::cmd("SCRIPT");
        load.arg("LOAD").arg(SCRIPT);
        Self {
            link,
            script: Script::new(SCRIPT),
            load,
        }
    }

    /// Makes known whether a replica is there; how many are.
    pub(super) async fn attend(
        &self,
        key: &[u8],
        replica: &str,
        presence: Presence,
    ) -> Result<u32, StoreError> {
        let mut call = ::redis::cmd("EVALSHA");
        call.arg(self.script.get_hash()).arg(1).arg(key);
        call.arg(replica).arg(u8::from(presence == Presence::Here));
        let answer = self.link.call(self.link.lane(key), &call, &self.load);
        ::redis::from_redis_value(answer.await?).map_err(unexpected)
    }
}

const SCRIPT: &str = include_str!("attend.lua");
