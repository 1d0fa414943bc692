//! What a table of rights cannot say: forged columns, bulk inserts, secrets, escalation, messages.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{id, project, reset, token, user};
use crate::support::{rest::RestSite, sql};

async fn count(site: &RestSite, table: &str) -> i64 {
    let query = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&site.admin).await.unwrap()
}

/// A refusal for want of rights that leaves the tables as they were.
#[track_caller]
fn assert_refused(answer: &crate::support::rest::Answer, what: &str) {
    let refused = matches!(answer.status, 401 | 403) && answer.body["code"] == "42501";
    assert!(refused, "{what}: {answer:?}");
}

const IDEMPOTENT: (&str, &str) = ("prefer", "return=minimal,resolution=ignore-duplicates");

#[tokio::test]
async fn a_reporter_may_repeat_a_bulk_insert() {
    let site = RestSite::start().await;
    reset(&site).await;
    for role in ["reporter", "reporter_a"] {
        let token = token(&site, role);
        let before = count(&site, "public.error_metrics").await;
        let batch = |from: u32| -> Value {
            (from..from + 100)
                .map(|n| {
                    json!({"error_id": id(0x500 + n, role.chars().last().unwrap()), "source": "worker",
                        "error_type": "execution.http", "severity": "high", "project_id": project('A'),
                        "message": format!("HTTP 500 in step {n}"), "metadata": {"attempt": n}})
                })
                .collect()
        };
        for (from, expected) in [(0, 100), (0, 100), (50, 150)] {
            let path = "/error_metrics?on_conflict=error_id";
            let answer = site
                .send(Method::POST, path, token.as_deref(), &[IDEMPOTENT], Some(&batch(from)))
                .await;
            assert!(matches!(answer.status, 200 | 201), "{role}: {answer:?}");
            assert_eq!(count(&site, "public.error_metrics").await - before, expected, "{role}");
        }
    }
}

#[tokio::test]
async fn a_reporter_reads_nothing_back() {
    let site = RestSite::start().await;
    reset(&site).await;
    for role in ["reporter", "reporter_a"] {
        let token = token(&site, role);
        let answer = site.get("/error_metrics?select=error_id", token.as_deref()).await;
        assert_eq!((answer.status, &answer.body), (200, &json!([])), "{role}");
        for query in [
            "select=*",
            "select=message",
            "select=error_id&project_id=not.is.null",
            "select=error_id&order=seq",
        ] {
            let answer = site.get(&format!("/error_metrics?{query}"), token.as_deref()).await;
            assert_refused(&answer, &format!("{role} {query}"));
        }
        // Representation needs the right to read, so nothing is inserted either.
        let before = count(&site, "public.error_metrics").await;
        let row =
            json!({"source": "worker", "error_type": "execution", "project_id": project('A')});
        let headers = [("prefer", "return=representation")];
        let answer =
            site.send(Method::POST, "/error_metrics", token.as_deref(), &headers, Some(&row)).await;
        assert_refused(&answer, role);
        assert_eq!(count(&site, "public.error_metrics").await, before);
    }
    let token = token(&site, "error_daemon");
    for (query, allowed) in
        [("select=seq,message,fingerprint", true), ("select=metadata", false), ("select=*", false)]
    {
        let answer = site.get(&format!("/error_metrics?{query}"), token.as_deref()).await;
        assert_eq!(answer.status == 200, allowed, "{query}: {answer:?}");
    }
}

#[tokio::test]
async fn the_servers_columns_and_others_projects_are_out_of_reach() {
    let site = RestSite::start().await;
    reset(&site).await;
    let row = |extra: Value| {
        let mut row = json!({"source": "worker", "error_type": "execution"});
        row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        row
    };
    let before = count(&site, "public.error_metrics").await;
    for role in ["reporter", "reporter_a", "owner_a"] {
        for extra in [
            json!({"seq": 1}),
            json!({"received_at": "2020-01-01T00:00:00Z"}),
            json!({"fingerprint": id(1, 'A')}),
        ] {
            let mut row = row(extra);
            row["project_id"] = json!(project('A'));
            let answer = site.post("/error_metrics", token(&site, role).as_deref(), &row).await;
            assert_refused(&answer, &format!("{role} {row}"));
        }
    }
    for (role, extra, status, says) in [
        ("reporter_a", json!({"project_id": project('B')}), 403, "row-level security"),
        ("owner_a", json!({"project_id": project('B')}), 403, "row-level security"),
        ("admin_a", json!({"project_id": project('A')}), 403, "row-level security"),
        ("owner_a", json!({}), 403, "row-level security"),
        // The workflow says whose event it is, so it cannot be smuggled in through one.
        ("reporter_a", json!({"workflow_id": id(0x300, 'B')}), 403, "row-level security"),
        ("owner_a", json!({"workflow_id": id(0x300, 'B')}), 403, "row-level security"),
        (
            "reporter_a",
            json!({"project_id": project('A'), "workflow_id": id(0x300, 'B')}),
            400,
            "workflow_id: workflow",
        ),
        (
            "reporter",
            json!({"project_id": project('A'), "workflow_id": id(0x300, 'B')}),
            400,
            "workflow_id: workflow",
        ),
        ("reporter", json!({"source": "cron"}), 400, "source_must_be_worker_webhook_or_system"),
        (
            "reporter",
            json!({"source": "a source that is longer than sixteen"}),
            400,
            "source_must_be_worker_webhook_or_system",
        ),
        ("reporter", json!({"source": null}), 400, "source: must be worker, webhook or system"),
        ("reporter", json!({"error_type": null}), 400, "error_type: must be"),
        (
            "reporter",
            json!({"error_type": "timeout"}),
            400,
            "error_type_must_be_system_execution_or_input_with_detail",
        ),
        (
            "reporter",
            json!({"error_type": format!("system.{}", "x".repeat(200))}),
            400,
            "error_type_must_have_at_most_128_characters",
        ),
        ("reporter", json!({"severity": "fatal"}), 400, "error_severity"),
    ] {
        let answer =
            site.post("/error_metrics", token(&site, role).as_deref(), &row(extra.clone())).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(answer.status == status && message.contains(says), "{role} {extra}: {answer:?}");
    }
    assert_eq!(count(&site, "public.error_metrics").await, before, "all of it was refused");
    // Without a project, the pin or the workflow gives it one.
    for (role, extra) in
        [("reporter_a", json!({})), ("reporter", json!({"workflow_id": id(0x300, 'A')}))]
    {
        let mut row = row(extra);
        row["error_id"] = json!(id(0x600, role.chars().last().unwrap()));
        let answer = site.post("/error_metrics", token(&site, role).as_deref(), &row).await;
        assert_eq!(answer.status, 201, "{role}: {answer:?}");
        let of: Option<String> = sqlx::query_scalar(
            "select project_id::text from public.error_metrics where error_id = $1::uuid",
        )
        .bind(row["error_id"].as_str())
        .fetch_one(&site.admin)
        .await
        .unwrap();
        assert_eq!(of.as_deref(), project('A'), "{role}");
    }
    // A pin that is no project's id pins to nothing at all.
    for pin in [json!("nonsense"), json!(null), json!(""), json!({"a": 1}), json!(id(9, 'X'))] {
        let token = site.token(&json!({"role": "error_reporter", "project_id": pin}));
        for extra in [json!({}), json!({"project_id": project('A')})] {
            let answer = site.post("/error_metrics", Some(&token), &row(extra)).await;
            assert!(matches!(answer.status, 403 | 409), "{pin}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn channel_secrets_cannot_be_read_by_anybody() {
    let site = RestSite::start().await;
    reset(&site).await;
    assert_eq!(count(&site, "error_tracking.channel_secrets").await, 3);
    for role in super::ROLES {
        let token = token(&site, role);
        let profile = [("accept-profile", "error_tracking")];
        for path in ["/channel_secrets", "/channel_secrets?select=ciphertext", "/masking"] {
            let answer = site.send(Method::GET, path, token.as_deref(), &profile, None).await;
            assert_eq!(
                (answer.status, &answer.body["code"]),
                (406, &json!("PGRST106")),
                "{role}: {answer:?}"
            );
            let answer = site.get(path, token.as_deref()).await;
            assert_eq!(answer.status, 404, "{role} {path}: {answer:?}");
        }
        // Nor through a relation of a table that is served.
        let answer =
            site.get("/alert_channels?select=*,channel_secrets(*)", token.as_deref()).await;
        assert!(matches!(answer.status, 400 | 401 | 403), "{role}: {answer:?}");
        for row in site
            .get("/alert_channels", token.as_deref())
            .await
            .body
            .as_array()
            .into_iter()
            .flatten()
        {
            assert!(
                !row.to_string().contains("hidden") && !row.to_string().contains("68696464656e"),
                "{row}"
            );
        }
    }
    let exposed: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c where c.relkind in ('v', 'm')
            and pg_get_viewdef(c.oid) ~ 'channel_secrets' and c.relnamespace = 'public'::regnamespace
         union all
         select oid::regprocedure::text from pg_proc
          where pronamespace = 'public'::regnamespace and prosrc ~ 'channel_secrets'",
    )
    .fetch_all(&site.admin)
    .await
    .unwrap();
    assert!(exposed.is_empty(), "{exposed:?}");
    // A channel's own configuration is no place for them either.
    for key in ["secret", "token", "password", "signing_secret", "webhook_url"] {
        let row =
            json!({"project_id": project('A'), "name": "n", "kind": "slack", "config": {key: "x"}});
        let answer = site.post("/alert_channels", token(&site, "owner_a").as_deref(), &row).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(
            answer.status == 400 && message.contains("config_must_not_hold_secrets"),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn tenants_cannot_reach_into_each_other() {
    let site = RestSite::start().await;
    reset(&site).await;
    let owner_a = token(&site, "owner_a");
    for table in [
        "error_metrics",
        "error_groups",
        "error_rate_minutes",
        "error_rate_hours",
        "error_rates_live",
        "alert_rules",
        "alert_channels",
        "alert_incidents",
        "alert_incident_events",
        "alert_notifications",
        "error_access",
    ] {
        let all = site.get(&format!("/{table}?select=project_id"), owner_a.as_deref()).await;
        let rows = all.body.as_array().unwrap();
        assert!(
            !rows.is_empty() && rows.iter().all(|row| row["project_id"] == json!(project('A'))),
            "{table}: {all:?}"
        );
        let theirs = site
            .get(&format!("/{table}?project_id=eq.{}", project('B').unwrap()), owner_a.as_deref())
            .await;
        assert_eq!(theirs.body, json!([]), "{table}");
    }
    // B's channel on A's rule, by those who do not see it and by one who does.
    for (role, status, says) in [
        ("owner_a", 403, "channel_id: there is no such channel"),
        ("admin_a", 403, "channel_id"),
        ("global_admin", 400, "channel_id: the channel belongs to another project"),
    ] {
        let link = json!({"rule_id": id(6, 'A'), "channel_id": id(7, 'B')});
        let answer = site.post("/alert_rule_channels", token(&site, role).as_deref(), &link).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(answer.status == status && message.starts_with(says), "{role}: {answer:?}");
    }
    // The platform's channel is for rules of those who may see it.
    let link = json!({"rule_id": id(6, 'A'), "channel_id": id(7, '0')});
    assert_refused(
        &site.post("/alert_rule_channels", owner_a.as_deref(), &link).await,
        "platform channel",
    );
    let global = token(&site, "global_admin");
    assert_eq!(site.post("/alert_rule_channels", global.as_deref(), &link).await.status, 201);
    // Neither a rule nor a channel moves to another project, not even between own ones.
    for (table, key, n) in [("alert_rules", "rule_id", 6), ("alert_channels", "channel_id", 7)] {
        let path = format!("/{table}?{key}=eq.{}", id(n, 'A'));
        for role in ["owner_a", "global_admin"] {
            let body = json!({"project_id": project('B')});
            let answer = site
                .send(Method::PATCH, &path, token(&site, role).as_deref(), &[], Some(&body))
                .await;
            assert_refused(&answer, &format!("{role} {table}"));
        }
    }
}

#[tokio::test]
async fn acknowledging_is_for_responders_of_the_project() {
    let site = RestSite::start().await;
    reset(&site).await;
    let state = async |tenant: char| -> (bool, Option<String>, i64) {
        sqlx::query_as(
            "select acknowledged_at is not null, acknowledged_by::text,
               (select count(*) from public.alert_incident_events e where e.incident_id = i.incident_id and kind <> 'comment')
               from public.alert_incidents i where incident_id = $1::uuid",
        )
        .bind(id(10, tenant))
        .fetch_one(&site.admin)
        .await
        .unwrap()
    };
    let call = async |role: &str, tenant: char, undo: bool| {
        let arguments = json!({"incident_id": id(10, tenant), "note": "mine", "undo": undo});
        site.post("/rpc/acknowledge_incident", token(&site, role).as_deref(), &arguments).await
    };
    for (role, tenant) in [
        ("viewer_a", 'A'),
        ("outsider", 'A'),
        ("owner_b", 'A'),
        ("owner_a", 'B'),
        ("admin_a", 'B'),
        ("responder_a", 'B'),
        ("responder_a", '0'),
        ("owner_a", '0'),
        ("service_role", 'A'),
        ("anon", 'A'),
    ] {
        assert_refused(&call(role, tenant, false).await, &format!("{role} {tenant}"));
        assert_eq!(state(tenant).await, (false, None, 0), "{role} {tenant}");
    }
    let mut entries = 0;
    for (role, tenant) in
        [("responder_a", 'A'), ("admin_a", 'A'), ("owner_a", 'A'), ("global_admin", 'A')]
    {
        assert!(matches!(call(role, tenant, false).await.status, 200 | 204), "{role}");
        entries += 1;
        assert_eq!(state(tenant).await, (true, Some(user(role)), entries), "{role}");
        assert!(matches!(call(role, tenant, true).await.status, 200 | 204), "{role}");
        entries += 1;
        assert_eq!(state(tenant).await, (false, None, entries), "{role}");
    }
    assert!(matches!(call("global_admin", '0', false).await.status, 200 | 204));
    sql(&site.admin, "update public.alert_incidents set state = 'resolved'").await;
    let answer = call("owner_a", 'A', false).await;
    assert_eq!(
        (answer.status, &answer.body["message"]),
        (400, &json!("incident_id: the incident is resolved"))
    );
}

#[tokio::test]
async fn nobody_raises_their_own_rights() {
    let site = RestSite::start().await;
    reset(&site).await;
    let before = count(&site, "public.error_access").await;
    for role in ["admin_a", "owner_a", "responder_a", "viewer_a", "outsider"] {
        for target in [None, project('B'), project('A')] {
            if matches!(role, "admin_a" | "owner_a") && target == project('A') {
                continue;
            }
            let grant = json!({"project_id": target, "user_id": user(role), "role": "admin"});
            assert_refused(
                &site.post("/error_access", token(&site, role).as_deref(), &grant).await,
                &format!("{role} {grant}"),
            );
        }
        let path = format!("/error_access?user_id=eq.{}", user(role));
        for change in [
            json!({"project_id": null}),
            json!({"project_id": project('B')}),
            json!({"user_id": user("outsider")}),
        ] {
            let answer = site
                .send(Method::PATCH, &path, token(&site, role).as_deref(), &[], Some(&change))
                .await;
            assert_refused(&answer, &format!("{role} {change}"));
        }
    }
    // Those without the right change no row, their own least of all.
    for role in ["viewer_a", "responder_a"] {
        let path = format!("/error_access?user_id=eq.{}", user(role));
        let body = json!({"role": "admin"});
        let minimal = [("prefer", "return=minimal")];
        let answer = site
            .send(Method::PATCH, &path, token(&site, role).as_deref(), &minimal, Some(&body))
            .await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        let answer = site.get(&format!("{path}&select=role"), token(&site, role).as_deref()).await;
        assert_eq!(
            answer.body,
            json!([{"role": role.trim_end_matches("_a")}]),
            "{role} sees their own"
        );
    }
    assert_eq!(count(&site, "public.error_access").await, before);
    // Who gave access is the server's to say.
    let grant = json!({"project_id": project('A'), "user_id": user("outsider"), "role": "viewer"});
    let mut forged = grant.clone();
    forged["granted_by"] = json!(user("owner_a"));
    let admin = token(&site, "admin_a");
    assert_refused(&site.post("/error_access", admin.as_deref(), &forged).await, "granted_by");
    assert_eq!(site.post("/error_access", admin.as_deref(), &grant).await.status, 201);
    let by: Option<String> = sqlx::query_scalar(
        "select granted_by::text from public.error_access where user_id = $1::uuid",
    )
    .bind(user("outsider"))
    .fetch_one(&site.admin)
    .await
    .unwrap();
    assert_eq!(by, Some(user("admin_a")));
}

#[tokio::test]
async fn refused_rules_say_which_field_is_wrong() {
    let site = RestSite::start().await;
    reset(&site).await;
    let owner = token(&site, "owner_a");
    for (change, says) in [
        (json!({"name": " "}), "name_must_have_1_to_120_characters"),
        (json!({"name": null}), "\"name\""),
        (json!({"metric": "sum"}), "metric_must_be_count_rate_or_ratio"),
        (json!({"min_runs": 0}), "min_runs_must_be_1_to_1000000"),
        (json!({"sources": ["cron"]}), "sources_must_be_worker_webhook_or_system"),
        (json!({"error_types": ["timeout"]}), "error_types_must_be_class_or_class_dot_detail"),
        (json!({"error_types": [null]}), "error_types_must_be_class_or_class_dot_detail"),
        (json!({"severities": ["fatal"]}), "severities_must_be_low_medium_or_high"),
        (json!({"workflow_ids": [null]}), "workflow_ids_must_be_at_most_100_and_not_null"),
        (json!({"message_contains": ""}), "message_contains_must_have_1_to_200_characters"),
        (json!({"group_by": ["host"]}), "group_by_must_be_known_fields"),
        (
            json!({"metric": "ratio", "group_by": ["source"]}),
            "group_by_of_a_ratio_must_be_project_or_workflow",
        ),
        (json!({"window_seconds": 90}), "window_seconds_must_be_whole_minutes_up_to_30_days"),
        (
            json!({"window_seconds": 2_592_060}),
            "window_seconds_must_be_whole_minutes_up_to_30_days",
        ),
        (json!({"warning": null}), "warning_or_critical_must_be_given"),
        (json!({"warning": 0}), "warning_must_be_above_0"),
        (json!({"warning": "NaN"}), "warning_must_be_above_0"),
        (json!({"critical": "Infinity"}), "critical_must_be_above_0"),
        (json!({"critical": 1}), "critical_must_not_be_below_warning"),
        (json!({"resolve": 6}), "resolve_must_be_above_0_and_not_above_the_thresholds"),
        (json!({"pending_seconds": -1}), "pending_seconds_must_be_0_to_86400"),
        (json!({"keep_firing_seconds": 86_401}), "keep_firing_seconds_must_be_0_to_86400"),
        (json!({"reminder_seconds": 59}), "reminder_seconds_must_be_0_or_60_to_2592000"),
    ] {
        let mut rule = json!({"project_id": project('A'), "name": "n", "warning": 5});
        rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = site.post("/alert_rules", owner.as_deref(), &rule).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && message.contains(says), "{change}: {answer:?}");
    }
    for (table, row, says) in [
        (
            "alert_channels",
            json!({"name": "n", "kind": "pager"}),
            "kind_must_be_slack_email_or_webhook",
        ),
        (
            "alert_channels",
            json!({"name": "n", "kind": "email"}),
            "config_to_must_list_1_to_50_addresses_for_email",
        ),
        (
            "alert_channels",
            json!({"name": "n", "kind": "email", "config": {"to": []}}),
            "config_to_must_list_1_to_50_addresses_for_email",
        ),
        (
            "alert_channels",
            json!({"name": "n", "kind": "webhook", "config": {"url": "ftp://x"}}),
            "config_url_must_be_given_for_webhook",
        ),
        (
            "alert_channels",
            json!({"name": "n", "kind": "slack", "config": []}),
            "config_must_be_an_object",
        ),
        (
            "alert_silences",
            json!({"ends_at": "2020-01-01T00:00:00Z"}),
            "ends_at_must_be_after_starts_at",
        ),
        (
            "alert_silences",
            json!({"ends_at": "2126-01-01T00:00:00Z", "matchers": []}),
            "matchers_must_be_an_object",
        ),
        (
            "error_access",
            json!({"user_id": user("outsider"), "role": "owner"}),
            "role_must_be_viewer_responder_or_admin",
        ),
    ] {
        let mut row = row;
        row["project_id"] = json!(project('A'));
        let answer = site.post(&format!("/{table}"), owner.as_deref(), &row).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && message.contains(says), "{row}: {answer:?}");
    }
}

/// Only those who administer everything decide what is masked, and see how.
#[tokio::test]
async fn masking_rules_are_for_global_admins() {
    let site = RestSite::start().await;
    reset(&site).await;
    let rule = json!({"kind": "key_is", "pattern": "matrixref"});
    let broken = json!({"kind": "value", "pattern": "("});
    for role in ["viewer_a", "admin_a", "owner_a", "reporter", "error_daemon", "anon"] {
        assert_refused(
            &site.post("/error_masking_rules", token(&site, role).as_deref(), &rule).await,
            role,
        );
    }
    let admin = token(&site, "global_admin");
    let answer = site.post("/error_masking_rules", admin.as_deref(), &broken).await;
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert!(answer.status == 400 && message.starts_with("pattern:"), "{answer:?}");
    assert_eq!(site.post("/error_masking_rules", admin.as_deref(), &rule).await.status, 201);
    let event = json!({"error_id": id(0x700, 'A'), "source": "worker", "error_type": "input", "project_id": project('A'),
        "metadata": {"Matrix-Ref": "visible?", "other": 1}});
    assert_eq!(
        site.post("/error_metrics", token(&site, "reporter").as_deref(), &event).await.status,
        201
    );
    let path = format!("/error_metrics?select=metadata&error_id=eq.{}", id(0x700, 'A'));
    let answer = site.get(&path, token(&site, "viewer_a").as_deref()).await;
    assert_eq!(answer.body, json!([{"metadata": {"Matrix-Ref": "[masked]", "other": 1}}]));
    sql(&site.admin, "delete from public.error_masking_rules where pattern like 'matrix%'").await;
}
