//! Secrets, other tenants' things, and rights that nobody gave.

use reqwest::Method;
use serde_json::json;

use super::{
    assert_refused, count,
    world::{ROLES, id, project, reset, token, user},
};
use crate::support::{rest::RestSite, sql};

#[tokio::test]
async fn channel_secrets_cannot_be_read_by_anybody() {
    let site = RestSite::start().await;
    reset(&site).await;
    assert_eq!(count(&site, "error_tracking.channel_secrets").await, 3);
    for role in ROLES {
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
