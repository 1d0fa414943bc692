//! What is held back: whether it is worth a look, and telling it when nothing holds it back any more.

use std::{collections::HashSet, time::Duration};

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Db, Fence, StoreError,
    pool::within,
    telling::{self, Concerned},
};
use crate::{
    crash::Point,
    model::Timestamp,
    telling::{Hold, Late, Owed, note},
};

/// How much is held back, and what may have changed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Messages that are held back.
    pub held: i64,
    /// Whether the time of some of them has come.
    pub due: bool,
    /// The number of changes of the configuration so far.
    pub version: i64,
}

/// What came of deciding about what is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Messages that are told now.
    pub messages: u64,
    /// Whether nothing holds back more than that, so that it is worth another look at once.
    pub more: bool,
}

/// About so many messages are told in one transaction, which has a limit on its time: when a silence
/// over a storm ends, the next look tells the next ones.
const MOST: usize = 1_000;

/// Looks how much is held back.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn look(db: &Db, limit: Duration) -> Result<Look, StoreError> {
    within("look at what is held back", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/held_look.sql"));
        let row = query.fetch_one(link.connection()).await?;
        let look = Look {
            held: row.try_get("held")?,
            due: row.try_get("due")?,
            version: row.try_get("version")?,
        };
        link.commit().await?;
        Ok(look)
    })
    .await
}

/// Decides about everything that is held back, and tells about a thousand messages at most that nothing
/// holds back any more.
///
/// # Errors
/// [`StoreError::FenceLost`] when this instance does not lead; the database's failures. Nothing was
/// written then, except when the commit itself got no answer.
pub async fn settle(db: &Db, fence: &Fence, limit: Duration) -> Result<Settled, StoreError> {
    within("tell what was held back", limit, async {
        let mut link = db.transaction().await?;
        let concerned = Concerned { held: true, ..Concerned::default() };
        let mut facts = telling::facts(&mut link, concerned).await?;
        let owed: HashSet<(Uuid, Uuid)> = facts
            .desk
            .standings()
            .flat_map(|(id, standing)| standing.owed.keys().map(move |channel| (id, *channel)))
            .collect();
        let late = facts.desk.settle(&facts.policy, facts.now);
        let due: HashSet<(Uuid, Uuid)> =
            late.iter().map(|late| (late.incident_id, late.channel_id)).collect();
        let told = first_of(&late);
        let waiting: Vec<Waiting> = facts
            .desk
            .standings()
            .flat_map(|(id, standing)| {
                standing.owed.iter().map(move |(channel, owed)| Waiting::of(id, *channel, owed))
            })
            .collect();
        let still: HashSet<(Uuid, Uuid)> =
            waiting.iter().map(|waiting| (waiting.incident_id, waiting.channel_id)).collect();
        let forgotten = owed.iter().filter(|key| !due.contains(key) && !still.contains(key));
        let waiting = serde_json::to_value(&waiting).map_err(|e| sqlx::Error::Encode(e.into()))?;
        let messages: i64 = link
            .query(include_str!("../../sql/held_told.sql"))
            .bind(pairs(told.iter().map(|late| (late.incident_id, late.channel_id))))
            .bind(pairs(forgotten.copied()))
            .bind(waiting)
            .fetch_one(link.connection())
            .await?
            .try_get(0)?;
        link.commit_past(fence, Some(Point::Releasing)).await?;
        Ok(Settled { messages: messages.unsigned_abs(), more: told.len() < late.len() })
    })
    .await
}

/// The first [`MOST`], with what else concerns the incident of the last one, whose time line says once
/// that people are told.
fn first_of(late: &[Late]) -> &[Late] {
    let Some(last) = late.get(MOST - 1) else { return late };
    let rest = late.get(MOST..).unwrap_or_default();
    let same = rest.iter().take_while(|late| late.incident_id == last.incident_id).count();
    late.get(..MOST + same).unwrap_or(late)
}

/// The statement's `$1` and `$2`.
fn pairs(keys: impl Iterator<Item = (Uuid, Uuid)>) -> Value {
    let pair =
        |(incident_id, channel_id)| json!({"incident_id": incident_id, "channel_id": channel_id});
    keys.map(pair).collect()
}

/// Why something still waits: one element of the statement's `$3`.
#[derive(Serialize)]
struct Waiting {
    incident_id: Uuid,
    channel_id: Uuid,
    until: Option<Timestamp>,
    why: &'static str,
    because: Option<Uuid>,
    note: String,
}

impl Waiting {
    fn of(incident_id: Uuid, channel_id: Uuid, owed: &Owed) -> Self {
        let first = owed.holds.first();
        Self {
            incident_id,
            channel_id,
            until: owed.until,
            why: first.map_or("level", Hold::word),
            because: first.map(Hold::id),
            note: if first.is_some() {
                note(&owed.holds)
            } else {
                "it is below the level that the channel wants".to_owned()
            },
        }
    }
}
