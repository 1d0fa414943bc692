//! Two tenants, the people and programs around them, and a row of each in every table.

use serde_json::{Value, json};

use crate::support::{rest::RestSite, sql};

/// Everybody whose rights the matrix lists, in its order.
pub const ROLES: [&str; 12] = [
    "anon",
    "reporter",
    "reporter_a",
    "owner_a",
    "viewer_a",
    "responder_a",
    "admin_a",
    "outsider",
    "owner_b",
    "global_admin",
    "error_daemon",
    "service_role",
];

/// Whose row it is: project A's, project B's, or nobody's.
pub const TENANTS: [char; 3] = ['A', 'B', '0'];

/// A tenant's project.
pub fn project(tenant: char) -> Option<&'static str> {
    match tenant {
        'A' => Some("aaaaaaaa-0000-4000-8000-000000000001"),
        'B' => Some("bbbbbbbb-0000-4000-8000-000000000002"),
        _ => None,
    }
}

/// The id of the row `of` a tenant in one of the tables; `of` keeps tables and purposes apart.
pub fn id(of: u32, tenant: char) -> String {
    format!("{of:08x}-0000-4000-8000-{:012x}", u32::from(tenant))
}

/// The user id of one of the people.
pub fn user(role: &str) -> String {
    let n = ROLES.iter().position(|name| *name == role).expect("a role of the matrix");
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// The token that somebody sends; none for `anon`.
pub fn token(site: &RestSite, role: &str) -> Option<String> {
    let claims = match role {
        "anon" => return None,
        "reporter" => json!({"role": "error_reporter"}),
        "reporter_a" => json!({"role": "error_reporter", "project_id": project('A')}),
        "error_daemon" | "service_role" => json!({"role": role}),
        person => json!({"role": "authenticated", "sub": user(person)}),
    };
    Some(site.token(&claims))
}

/// A table of the matrix.
pub struct Table {
    /// Its name in schema `public`.
    pub name: &'static str,
    /// A column that tells the rows of the matrix apart.
    pub key: &'static str,
    /// Whether its rows belong to projects.
    pub tenants: &'static [char],
    n: u32,
    /// What a new row has besides key and project.
    insert: fn(char) -> Value,
    update: Value,
}

impl Table {
    /// The key of the row that is there.
    pub fn present(&self, tenant: char) -> String {
        self.value(self.n, tenant)
    }

    /// The key of the row that is to be inserted.
    pub fn fresh(&self, tenant: char) -> String {
        self.value(self.n + 0x100, tenant)
    }

    fn value(&self, n: u32, tenant: char) -> String {
        match self.key {
            "bucket" => format!(
                "20{:02}-01-0{}T00:00:00Z",
                n % 0x100 + n / 0x100,
                1 + u32::from(tenant) % 7
            ),
            _ => id(n, tenant),
        }
    }

    /// The new row as a request's body.
    pub fn insert(&self, tenant: char) -> Value {
        let mut row = (self.insert)(tenant);
        row[self.key] = json!(self.fresh(tenant));
        if self.tenants.len() > 1 && self.name != "alert_rule_channels" {
            row["project_id"] = json!(project(tenant));
        }
        row
    }

    /// What a role would change: everybody what people may change, the daemon what it may.
    pub fn update(&self, role: &str) -> Value {
        match (self.name, role) {
            ("alert_channels", "error_daemon") => json!({"state": "broken"}),
            _ => self.update.clone(),
        }
    }
}

/// Where these stand among the tables.
const QUIET_HOURS: u32 = 20;
const INHIBITIONS: u32 = 21;
const HELD_BACK: u32 = 22;

const TIME: &str = "2026-01-01T00:00:00Z";

/// The number of `error_group_hours`, by which its rows are known.
const GROUP_HOURS: u32 = 64;

/// Every table of the matrix.
pub fn tables() -> Vec<Table> {
    let rate =
        |_| json!({"source": "worker", "error_type": "execution", "severity": "low", "count": 1});
    let table =
        |n, name, key, insert, update| Table { name, key, tenants: &TENANTS, n, insert, update };
    let platform =
        |n, name, key, insert, update| Table { name, key, tenants: &['0'], n, insert, update };
    vec![
        table(
            1,
            "error_metrics",
            "error_id",
            |_| json!({"source": "worker", "error_type": "execution"}),
            json!({"severity": "low"}),
        ),
        table(
            2,
            "error_groups",
            "group_id",
            |tenant| {
                json!({"fingerprint": id(0x200, tenant), "title": "t", "source": "worker",
            "error_type": "execution", "worst_severity": "low", "first_seen": TIME, "last_seen": TIME, "count": 1,
            "sample_error_id": id(1, tenant)})
            },
            json!({"status": "resolved"}),
        ),
        table(3, "error_rate_minutes", "bucket", rate, json!({"count": 2})),
        table(4, "error_rate_hours", "bucket", rate, json!({"count": 2})),
        table(
            5,
            "error_rates_live",
            "live_id",
            |_| json!({"snapshot": {}}),
            json!({"snapshot": {"a": 1}}),
        ),
        table(
            6,
            "alert_rules",
            "rule_id",
            |_| json!({"name": "new", "warning": 5}),
            json!({"warning": 7}),
        ),
        table(
            7,
            "alert_channels",
            "channel_id",
            |_| json!({"name": "new", "kind": "slack"}),
            json!({"enabled": false}),
        ),
        table(
            8,
            "alert_rule_channels",
            "channel_id",
            |tenant| json!({"rule_id": id(6, tenant)}),
            json!({"min_level": "critical"}),
        ),
        table(
            9,
            "alert_silences",
            "silence_id",
            |_| json!({"ends_at": "2126-01-01T00:00:00Z"}),
            json!({"reason": "r"}),
        ),
        table(
            10,
            "alert_incidents",
            "incident_id",
            |tenant| {
                json!({"rule_id": id(6, tenant), "rule_name": "r", "group_key": "{\"new\":1}",
            "state": "firing", "level": "warning", "peak_level": "warning", "started_at": TIME, "value": 1, "threshold": 1, "peak": 1})
            },
            json!({"value": 2}),
        ),
        table(
            11,
            "alert_incident_events",
            "note",
            |tenant| {
                json!({"incident_id": id(10, tenant), "at": "2026-02-02T00:00:00Z",
            "kind": "comment"})
            },
            json!({"level": "critical"}),
        ),
        table(
            12,
            "alert_notifications",
            "notification_id",
            |tenant| {
                json!({"channel_id": id(7, tenant), "transition": "test",
            "payload": {}})
            },
            json!({"last_error": "e"}),
        ),
        table(
            13,
            "error_access",
            "access_id",
            |tenant| json!({"user_id": id(0x201, tenant), "role": "viewer"}),
            json!({"role": "responder"}),
        ),
        platform(
            14,
            "error_tracker_status",
            "instance_id",
            |_| {
                json!({"name": "n", "version": "v", "started_at": TIME,
            "heartbeat_at": TIME})
            },
            json!({"leader": true}),
        ),
        platform(
            15,
            "error_masking_rules",
            "masking_rule_id",
            |_| json!({"kind": "key_is", "pattern": "matrixnew"}),
            json!({"note": "n"}),
        ),
        table(
            GROUP_HOURS,
            "error_group_hours",
            "bucket",
            |tenant| {
                json!({"fingerprint": id(0x202, tenant), "source": "worker",
            "error_type": "execution", "severity": "low", "count": 1})
            },
            json!({"count": 2}),
        ),
        table(
            QUIET_HOURS,
            "alert_quiet_hours",
            "quiet_hours_id",
            |_| json!({"starts": "22:00", "ends": "07:00", "time_zone": "Europe/Berlin"}),
            json!({"allow_critical": true}),
        ),
        table(
            INHIBITIONS,
            "alert_inhibitions",
            "inhibition_id",
            |tenant| json!({"source_rule_id": id(6, tenant), "target_rule_id": id(0x205, tenant)}),
            json!({"source_level": "critical"}),
        ),
        table(
            HELD_BACK,
            "alert_held_back",
            "channel_id",
            |tenant| json!({"incident_id": id(10, tenant), "kind": "firing", "why": "quiet", "payload": {}}),
            json!({"note": "n"}),
        ),
    ]
}

/// Empties everything and writes the rows of the matrix anew.
pub async fn reset(site: &RestSite) {
    let mut script = String::from("begin;");
    for tenant in ['A', 'B'] {
        let (project, owner) =
            (project(tenant).unwrap(), user(&format!("owner_{}", tenant.to_ascii_lowercase())));
        script.push_str(&format!(
            "insert into public.projects (id, owner, name) values ('{project}', '{owner}', 'Matrix {tenant}')
               on conflict (id) do nothing;
             insert into public.workflow_definitions (id, project_id, slug, definition, name)
               values ('{}', '{project}', 'matrix', '{{}}', 'matrix') on conflict (id) do nothing;",
            id(0x300, tenant)
        ));
    }
    for (role, access) in [
        ("viewer_a", "viewer"),
        ("responder_a", "responder"),
        ("admin_a", "admin"),
        ("global_admin", "admin"),
    ] {
        let project = if role == "global_admin" {
            "null".to_owned()
        } else {
            format!("'{}'", project('A').unwrap())
        };
        script.push_str(&format!(
            "insert into public.error_access (project_id, user_id, role) values ({project}, '{}', '{access}');",
            user(role)
        ));
    }
    for tenant in TENANTS {
        let p = project(tenant).map_or_else(|| "null".to_owned(), |id| format!("'{id}'"));
        let tables = tables();
        let k = |n: usize| tables[n - 1].present(tenant);
        script.push_str(&format!(
            "insert into public.error_metrics (error_id, source, error_type, project_id) values ('{}', 'worker', 'execution', {p});
             insert into public.error_groups (group_id, project_id, fingerprint, title, source, error_type, worst_severity, first_seen,
               last_seen, count, sample_error_id) values ('{}', {p}, '{}', 't', 'worker', 'execution', 'low', now(), now(), 1, '{}');
             insert into public.error_rate_minutes values ('{}', {p}, null, 'worker', 'execution', 'low', 1);
             insert into public.error_rate_hours values ('{}', {p}, null, 'worker', 'execution', 'low', 1);
             insert into public.error_rates_live (live_id, project_id, snapshot) values ('{}', {p}, '{{}}');
             insert into public.alert_rules (rule_id, project_id, name, warning) values ('{}', {p}, 'r', 5);
             insert into public.alert_channels (channel_id, project_id, name, kind) values ('{}', {p}, 'c', 'slack'), ('{}', {p}, 'd', 'slack');",
            k(1), k(2), id(0x202, tenant), k(1), k(3), k(4), k(5), k(6), k(7), id(0x108, tenant),
        ));
        let group_hours = tables.iter().find(|table| table.n == GROUP_HOURS).expect("the table");
        script.push_str(&format!(
            "insert into public.error_group_hours values ('{}', {p}, null, '{}', 'worker', 'execution', 'low', 1);",
            group_hours.present(tenant),
            id(0x202, tenant)
        ));
        script.push_str(&format!(
            "insert into public.alert_channels (channel_id, project_id, name, kind) values ('{0}', {p}, 'e', 'slack');
             insert into public.alert_rule_channels (rule_id, channel_id) values ('{6}', '{0}');
             insert into public.alert_silences (silence_id, project_id, ends_at) values ('{1}', {p}, '2126-01-01');
             insert into public.alert_incidents (incident_id, rule_id, rule_name, project_id, state, level, peak_level, started_at, value,
               threshold, peak) values ('{2}', '{6}', 'r', {p}, 'firing', 'warning', 'warning', now(), 1, 1, 1);
             insert into public.alert_incident_events (incident_id, project_id, at, kind, note) values ('{2}', {p}, now(), 'comment', '{3}');
             insert into public.alert_notifications (notification_id, channel_id, project_id, transition, payload)
               values ('{4}', '{7}', {p}, 'test', '{{}}');
             insert into public.error_access (access_id, project_id, user_id, role) values ('{5}', {p}, '{8}', 'viewer');
             insert into error_tracking.channel_secrets (channel_id, nonce, ciphertext) values ('{7}', '123456789012', 'hidden');",
            k(8), k(9), k(10), k(11), k(12), k(13), k(6), k(7), id(0x203, tenant),
        ));
    }
    for tenant in TENANTS {
        let p = project(tenant).map_or_else(|| "null".to_owned(), |id| format!("'{id}'"));
        let of = |n: u32| id(n, tenant);
        script.push_str(&format!(
            "insert into public.alert_rules (rule_id, project_id, name, warning) values ('{0}', {p}, 's', 5), ('{1}', {p}, 't', 5);
             insert into public.alert_channels (channel_id, project_id, name, kind) values ('{2}', {p}, 'f', 'slack'), ('{3}', {p}, 'g', 'slack');
             insert into public.alert_quiet_hours (quiet_hours_id, project_id, starts, ends, time_zone) values ('{4}', {p}, '22:00', '07:00', 'UTC');
             insert into public.alert_inhibitions (inhibition_id, source_rule_id, target_rule_id) values ('{5}', '{6}', '{0}');
             insert into public.alert_held_back (incident_id, channel_id, project_id, kind, why, payload)
               values ('{7}', '{2}', {p}, 'firing', 'silence', '{{}}');",
            of(0x204), of(0x205), of(HELD_BACK), of(HELD_BACK + 0x100), of(QUIET_HOURS), of(INHIBITIONS), of(6), of(10),
        ));
    }
    script.push_str(&format!(
        "insert into public.error_tracker_status (instance_id, name, version, started_at, heartbeat_at)
           values ('{}', 'n', 'v', now(), now());
         delete from public.error_masking_rules where pattern like 'matrix%';
         insert into public.error_masking_rules (masking_rule_id, kind, pattern) values ('{}', 'key_is', 'matrix');
         commit;",
        id(14, '0'),
        id(15, '0'),
    ));
    site.empty().await;
    sql(&site.admin, &script).await;
}
