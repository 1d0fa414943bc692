//! What people are told when they are refused, and who decides what is masked.

use serde_json::json;

use super::{
    assert_refused,
    world::{id, project, reset, token, user},
};
use crate::support::{rest::RestSite, sql};

#[tokio::test]
async fn refused_rules_say_which_field_is_wrong() {
    let site = RestSite::start().await;
    reset(&site).await;
    let owner = token(&site, "owner_a");
    for (change, says) in [
        (json!({"name": " "}), "name_must_have_1_to_120_characters"),
        (json!({"name": null}), "\"name\""),
        (json!({"metric": "sum"}), "metric_must_be_a_known_kind"),
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
            "alert_silences",
            json!({"ends_at": "2126-01-01T00:00:00Z", "matchers": {"host": "a"}}),
            "matchers_must_be_known_fields_with_their_values",
        ),
        (
            "alert_silences",
            json!({"ends_at": "2126-01-01T00:00:00Z", "matchers": {"source": ["worker", "cron"]}}),
            "matchers_must_be_known_fields_with_their_values",
        ),
        (
            "alert_silences",
            json!({"ends_at": "2126-01-01T00:00:00Z", "matchers": {"fingerprint": 7}}),
            "matchers_must_be_known_fields_with_their_values",
        ),
        ("alert_silences", json!({"ends_at": "infinity"}), "starts_at_and_ends_at_must_be_finite"),
        (
            "alert_quiet_hours",
            json!({"starts": "22:00", "ends": "07:00", "time_zone": "Mars/Olympus"}),
            "time_zone: Mars/Olympus is not an IANA time zone",
        ),
        (
            "alert_quiet_hours",
            json!({"starts": "24:00", "ends": "07:00", "time_zone": "UTC"}),
            "starts_must_be_before_24_00",
        ),
        (
            "alert_quiet_hours",
            json!({"starts": "22:00", "ends": "07:00", "time_zone": "UTC", "days": [0]}),
            "days_must_list_1_for_monday_to_7_for_sunday",
        ),
        (
            "alert_quiet_hours",
            json!({"starts": "22:00", "ends": "07:00", "time_zone": "UTC", "kind": "loud"}),
            "kind_must_be_quiet_or_maintenance",
        ),
        (
            "alert_inhibitions",
            json!({"source_rule_id": id(6, 'A'), "target_rule_id": id(6, 'A')}),
            "target_rule_id_must_differ_from_source_rule_id",
        ),
        (
            "alert_inhibitions",
            json!({"source_rule_id": id(0x204, 'A'), "target_rule_id": id(6, 'A')}),
            "target_rule_id: the two rules would keep each other quiet",
        ),
        (
            "alert_inhibitions",
            json!({"source_rule_id": id(6, 'A'), "target_rule_id": id(0x205, 'A'),
                "equal_fields": ["host"]}),
            "equal_fields_must_be_known_fields",
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
