//! From a batch of changed rows to the frames that each subscriber may see.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, value::RawValue};
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    Shared,
    catalog::{self, Access, Table},
    filter::Filter,
    frame,
    hub::Subscriber,
    params::Action,
    payload::{self, Problem},
    pgoutput::{Cell, Row},
};

/// A row that changed.
#[derive(Debug)]
pub struct Change {
    /// Its table.
    pub table: Arc<Table>,
    /// Insert, update or delete.
    pub action: Action,
    /// The old row or key, where the log has one.
    pub old: Option<Row>,
    /// The new row.
    pub new: Option<Row>,
    /// When its transaction committed, as the frames say it.
    pub committed_at: Arc<str>,
    /// The 32-bit id of its transaction.
    pub transaction: u32,
    /// Send it as if it were over the size limit.
    pub truncate: bool,
}

/// A frame for a socket.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Whom it is for.
    pub subscriber: Arc<Subscriber>,
    /// The finished text.
    pub text: String,
    /// How many subscription ids it carries.
    pub ids: u32,
}

/// Logical decoding can be faster than the moment at which other sessions see the transaction.
const VISIBLE_TRIES: u32 = 250;
const VISIBLE_PAUSE: Duration = Duration::from_millis(2);
const VISIBLE: &str = include_str!("sql/transactions_visible.sql");

type Indices = HashSet<usize>;

/// What has been found out about a batch; keys hold the table's oid.
#[derive(Default)]
struct Decisions {
    access: HashMap<(u32, String), Access>,
    visible: HashMap<(u32, String, String), Indices>,
    passes: HashMap<(u32, Vec<Filter>), Indices>,
}

/// Works out all frames of a batch, in the order of its changes.
///
/// # Errors
/// When the database cannot be asked; the batch is then lost, as it is on the real server.
pub async fn frames(shared: &Shared, batch: &[Change]) -> Result<Vec<Delivery>, sqlx::Error> {
    let subscribers = shared.hub.subscribers();
    let wanted: HashSet<u32> = tables_of(&subscribers);
    let mut groups: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, change) in batch.iter().enumerate() {
        let oid = change.table.relation.oid;
        if wanted.contains(&oid) {
            groups.entry(oid).or_default().push(at);
        }
    }
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    wait_until_visible(&shared.pool, batch).await?;
    let decisions = decide(&shared.pool, &subscribers, batch, &groups).await?;
    let mut deliveries = Vec::new();
    for (at, change) in batch.iter().enumerate() {
        deliver_one(&subscribers, &decisions, at, change, &mut deliveries);
    }
    Ok(deliveries)
}

/// The tables anyone subscribes to.
#[must_use]
pub fn tables_of(subscribers: &[Arc<Subscriber>]) -> HashSet<u32> {
    let entries = subscribers.iter().flat_map(|subscriber| &subscriber.subscriptions);
    entries.flat_map(|entry| entry.tables.iter().copied()).collect()
}

async fn wait_until_visible(pool: &PgPool, batch: &[Change]) -> Result<(), sqlx::Error> {
    let ids: HashSet<i64> = batch.iter().map(|change| i64::from(change.transaction)).collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    for _ in 0..VISIBLE_TRIES {
        if sqlx::query_scalar(VISIBLE).bind(&ids).fetch_one(pool).await? {
            return Ok(());
        }
        tokio::time::sleep(VISIBLE_PAUSE).await;
    }
    Ok(())
}

async fn decide(
    pool: &PgPool,
    subscribers: &[Arc<Subscriber>],
    batch: &[Change],
    groups: &HashMap<u32, Vec<usize>>,
) -> Result<Decisions, sqlx::Error> {
    let mut decisions = Decisions::default();
    for (&oid, group) in groups {
        let Some(table) = group.first().and_then(|at| batch.get(*at)).map(|c| Arc::clone(&c.table))
        else {
            continue;
        };
        for subscriber in subscribers {
            let Subscriber { role, claims, .. } = &**subscriber;
            for entry in subscriber.subscriptions.iter().filter(|s| s.tables.contains(&oid)) {
                let filters = &entry.params.filters;
                let key = (oid, filters.clone());
                if !filters.is_empty() && !decisions.passes.contains_key(&key) {
                    let passes = passing(pool, &table, filters, batch, group).await?;
                    decisions.passes.insert(key, passes);
                }
                let key = (oid, role.clone());
                if !decisions.access.contains_key(&key) {
                    let access = catalog::access(pool, oid, role).await?;
                    decisions.access.insert(key.clone(), access);
                }
                let row_security = decisions.access.get(&key).is_some_and(|a| a.row_security);
                let key = (oid, role.clone(), claims.clone());
                if row_security && !decisions.visible.contains_key(&key) {
                    let visible = visible(pool, &table, role, claims, batch, group).await;
                    decisions.visible.insert(key, visible);
                }
            }
        }
    }
    Ok(decisions)
}

async fn visible(
    pool: &PgPool,
    table: &Table,
    role: &str,
    claims: &str,
    batch: &[Change],
    group: &[usize],
) -> Indices {
    let rows = group.iter().filter_map(|at| {
        let change = batch.get(*at)?;
        let new = change.new.as_ref()?;
        let key = table.key.iter().map(|column| match new.get(*column) {
            Some(Cell::Text(text)) => Some(text.as_str()),
            _ => None,
        });
        Some((*at, key.collect::<Option<Vec<&str>>>()?))
    });
    let (places, keys): (Vec<usize>, Vec<Vec<&str>>) = rows.unzip();
    if keys.is_empty() || table.key.is_empty() {
        return Indices::new();
    }
    match catalog::visible(pool, table, role, claims, &keys).await {
        Ok(found) => found.into_iter().filter_map(|at| places.get(at).copied()).collect(),
        Err(error) => {
            let (role, table) = (role, &table.relation.table);
            tracing::warn!(%error, role, table, "row security check failed, rows are withheld");
            Indices::new()
        }
    }
}

async fn passing(
    pool: &PgPool,
    table: &Table,
    filters: &[Filter],
    batch: &[Change],
    group: &[usize],
) -> Result<Indices, sqlx::Error> {
    let mut conditions = Vec::new();
    let mut arrays: Vec<Vec<Option<&str>>> = Vec::new();
    for (nth, filter) in filters.iter().enumerate() {
        let position = table.relation.columns.iter().position(|c| c.name == filter.column);
        let Some((position, kind)) = position.and_then(|p| Some((p, table.columns.get(p)?))) else {
            return Ok(Indices::new());
        };
        let known = table.relation.identity == b'f' || table.key.contains(&position);
        arrays.push(
            group
                .iter()
                .map(|at| match batch.get(*at).and_then(|c| c.row()?.get(position)) {
                    Some(Cell::Text(text)) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
        );
        let column = format!("k.c{nth}");
        let condition = filter.sql(&column, &kind.sql_name, filters.len() + nth + 2);
        // Of a deleted row only the key is known; a condition on anything else cannot hold.
        conditions.push(if known { condition } else { format!("(not k.gone and {condition})") });
    }
    let gone: Vec<bool> =
        group.iter().map(|at| batch.get(*at).is_some_and(|c| c.new.is_none())).collect();
    let parameters: Vec<String> =
        (0..filters.len()).map(|n| format!("${}::text[]", n + 2)).collect();
    let names: Vec<String> = (0..filters.len()).map(|n| format!("c{n}")).collect();
    let sql = format!(
        "select k.ord from unnest($1::boolean[], {}) with ordinality as k(gone, {}, ord) where {}",
        parameters.join(", "),
        names.join(", "),
        conditions.join(" and "),
    );
    let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(gone);
    for array in arrays {
        query = query.bind(array);
    }
    for filter in filters {
        query = query.bind(&filter.value);
    }
    let found = query.fetch_all(pool).await?;
    let index = |ord: i64| group.get(usize::try_from(ord - 1).ok()?).copied();
    Ok(found.into_iter().filter_map(index).collect())
}

impl Change {
    /// The row that conditions look at.
    fn row(&self) -> Option<&Row> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// What the role's privileges make of the change.
    fn problem(&self, access: &Access) -> Option<Problem> {
        let table = &self.table;
        let readable = |at: &usize| {
            table.relation.columns.get(*at).is_some_and(|c| access.columns.contains(&c.name))
        };
        if self.action != Action::Delete && table.key.is_empty() {
            Some(Problem::NoPrimaryKey)
        } else if self.action != Action::Delete && !table.key.iter().all(readable) {
            Some(Problem::Unauthorized)
        } else if self.truncate || payload::is_too_large(self) {
            Some(Problem::TooLarge)
        } else {
            None
        }
    }
}

fn deliver_one(
    subscribers: &[Arc<Subscriber>],
    decisions: &Decisions,
    at: usize,
    change: &Change,
    deliveries: &mut Vec<Delivery>,
) {
    let oid = change.table.relation.oid;
    // The same data goes to everyone with the same role and selection.
    let mut cache: HashMap<(&str, &Option<Vec<String>>), Arc<str>> = HashMap::new();
    for subscriber in subscribers {
        let Some(access) = decisions.access.get(&(oid, subscriber.role.clone())) else { continue };
        let problem = change.problem(access);
        let refused = matches!(problem, Some(Problem::Unauthorized | Problem::NoPrimaryKey));
        if !refused && access.row_security && change.action != Action::Delete {
            let key = (oid, subscriber.role.clone(), subscriber.claims.clone());
            if !decisions.visible.get(&key).is_some_and(|seen| seen.contains(&at)) {
                continue;
            }
        }
        let mut selections: Vec<(&Option<Vec<String>>, Vec<u32>)> = Vec::new();
        for entry in &subscriber.subscriptions {
            let params = &entry.params;
            let passes = || {
                params.filters.is_empty()
                    || refused
                    || decisions
                        .passes
                        .get(&(oid, params.filters.clone()))
                        .is_some_and(|seen| seen.contains(&at))
            };
            if entry.tables.contains(&oid) && params.event.wants(change.action) && passes() {
                match selections.iter_mut().find(|(select, _)| *select == &params.select) {
                    Some((_, ids)) => ids.push(params.id),
                    None => selections.push((&params.select, vec![params.id])),
                }
            }
        }
        for (select, ids) in selections {
            let data = cache.entry((subscriber.role.as_str(), select)).or_insert_with(|| {
                payload::data(change, access, select.as_deref(), problem).into()
            });
            deliveries.extend(delivery(subscriber, data, &ids));
        }
    }
}

fn delivery(subscriber: &Arc<Subscriber>, data: &str, ids: &[u32]) -> Option<Delivery> {
    let payload = format!(r#"{{"data":{data},"ids":{}}}"#, Value::from(ids));
    let payload = RawValue::from_string(payload)
        .inspect_err(|error| tracing::error!(%error, "a change could not be written as JSON"))
        .ok()?;
    let (null, topic) = (&Value::Null, &subscriber.topic);
    let text = frame::encode(subscriber.version, null, null, topic, "postgres_changes", &payload);
    let ids = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    Some(Delivery { subscriber: Arc::clone(subscriber), text, ids })
}
