//! What the pages ask, as they ask it.

/// One query of a page.
pub struct Question {
    /// What it is for.
    pub name: &'static str,
    /// Who asks: `admin` sees everything, `viewer` one project.
    pub user: &'static str,
    /// The statement.
    pub sql: &'static str,
    /// Milliseconds it may take.
    pub budget: f64,
}

/// Every query of a page has this long, so that a page is there at once.
const PAGE: f64 = 50.0;
/// A search without an index has as long as a person waits without wondering.
const SEARCH: f64 = 1_000.0;

/// The group with most errors is the slowest to look at.
macro_rules! largest_group {
    () => {
        "(select fingerprint from public.error_groups order by count desc limit 1)"
    };
}

const fn admin(name: &'static str, sql: &'static str) -> Question {
    Question { name, user: "admin", sql, budget: PAGE }
}

const fn viewer(name: &'static str, sql: &'static str) -> Question {
    Question { name, user: "viewer", sql, budget: PAGE }
}

/// What the overview, a group's page, the explorer and the status page ask when they open.
pub const QUESTIONS: &[Question] = &[
    admin(
        "series, 15 minutes by severity",
        "select public.error_series(now() - interval '15 minutes', now(), 60)",
    ),
    admin(
        "series, 1 hour by severity",
        "select public.error_series(now() - interval '1 hour', now(), 60)",
    ),
    admin(
        "series, 24 hours by severity",
        "select public.error_series(now() - interval '1 day', now(), 900)",
    ),
    admin(
        "series, 7 days by severity",
        "select public.error_series(now() - interval '7 days', now(), 3600)",
    ),
    admin(
        "series, 30 days by severity",
        "select public.error_series(now() - interval '30 days', now(), 21600)",
    ),
    admin(
        "series, 30 days by source",
        "select public.error_series(now() - interval '30 days', now(), 21600, 'source')",
    ),
    admin(
        "series, 30 days by type",
        "select public.error_series(now() - interval '30 days', now(), 21600, 'type')",
    ),
    viewer(
        "series, 30 days by type, one project",
        "select public.error_series(now() - interval '30 days', now(), 21600, 'type')",
    ),
    admin("tiles, 1 hour", "select public.error_overview(now() - interval '1 hour', now())"),
    admin("tiles, 24 hours", "select public.error_overview(now() - interval '1 day', now())"),
    admin("tiles, 7 days", "select public.error_overview(now() - interval '7 days', now())"),
    admin("tiles, 30 days", "select public.error_overview(now() - interval '30 days', now())"),
    admin(
        "top groups, 1 hour",
        "select public.error_top_groups(now() - interval '1 hour', now(), page_size => 8)",
    ),
    admin(
        "top groups, 6 hours",
        "select public.error_top_groups(now() - interval '6 hours', now(), page_size => 8)",
    ),
    admin(
        "top groups, 24 hours",
        "select public.error_top_groups(now() - interval '1 day', now(), page_size => 8)",
    ),
    admin(
        "top groups, 7 days",
        "select public.error_top_groups(now() - interval '7 days', now(), page_size => 8)",
    ),
    admin(
        "top groups, 30 days",
        "select public.error_top_groups(now() - interval '30 days', now(), page_size => 8)",
    ),
    admin(
        "workflows by rate, 1 hour",
        "select public.error_workflow_rates(now() - interval '1 hour', now(), page_size => 8)",
    ),
    admin(
        "workflows by rate, 24 hours",
        "select public.error_workflow_rates(now() - interval '1 day', now(), page_size => 8)",
    ),
    admin(
        "workflows by rate, 30 days",
        "select public.error_workflow_rates(now() - interval '30 days', now(), page_size => 8)",
    ),
    admin(
        "incidents on the chart, 30 days",
        "select incident_id, rule_id, rule_name, project_id, state, level, peak_level, started_at, fired_at, resolved_at, group_key \
           from public.alert_incidents where state <> 'pending' and started_at < now() \
            and (resolved_at is null or resolved_at > now() - interval '30 days') order by started_at desc limit 50",
    ),
    admin(
        "incidents on the chart, 1 hour",
        "select incident_id, rule_id, rule_name, project_id, state, level, peak_level, started_at, fired_at, resolved_at, group_key \
           from public.alert_incidents where state <> 'pending' and started_at < now() \
            and (resolved_at is null or resolved_at > now() - interval '1 hour') order by started_at desc limit 50",
    ),
    admin("live feed", "select public.error_feed()"),
    viewer("live feed of one project", "select public.error_feed()"),
    admin(
        "group: detail, 24 hours",
        concat!("select public.error_group_detail(", largest_group!(), ")"),
    ),
    admin(
        "group: detail, 30 days",
        concat!(
            "select public.error_group_detail(",
            largest_group!(),
            ", now() - interval '30 days', now())"
        ),
    ),
    admin(
        "group: series, 24 hours",
        concat!(
            "select public.error_series(now() - interval '1 day', now(), 900, filters => jsonb_build_object('fingerprint', ",
            largest_group!(),
            "))"
        ),
    ),
    admin(
        "group: series, 30 days",
        concat!(
            "select public.error_series(now() - interval '30 days', now(), 21600, filters => jsonb_build_object('fingerprint', ",
            largest_group!(),
            "))"
        ),
    ),
    admin(
        "group: samples",
        concat!(
            "select * from public.error_history(filters => jsonb_build_object('fingerprint', ",
            largest_group!(),
            "), page_size => 20)"
        ),
    ),
    admin("explorer: first page", "select * from public.error_history(page_size => 51)"),
    admin(
        "explorer: a page 20 days deep",
        "select * from public.error_history(now() - interval '30 days', now(), before_at => now() - interval '20 days', \
           before_seq => 1000000000, as_of => (select max(seq) from public.error_metrics), page_size => 51)",
    ),
    admin(
        "explorer: one type, 30 days",
        "select * from public.error_history(now() - interval '30 days', now(), '{\"types\": [\"system.dns\"]}', page_size => 51)",
    ),
    viewer(
        "explorer: one project of a viewer",
        "select * from public.error_history(now() - interval '30 days', now(), page_size => 51)",
    ),
    admin(
        "explorer: how many, 24 hours",
        "select public.error_overview(now() - interval '1 day', now())",
    ),
    Question {
        name: "explorer: a text that nothing has, 7 days",
        user: "admin",
        sql: "select * from public.error_history(now() - interval '7 days', now(), '{\"text\": \"not to be found\"}', page_size => 51)",
        budget: SEARCH * 5.0,
    },
    Question {
        name: "explorer: a text of one group, 24 hours",
        user: "admin",
        sql: "select * from public.error_history(filters => '{\"text\": \"step bcd answered\"}', page_size => 51)",
        budget: SEARCH,
    },
    admin("status", "select public.tracker_status()"),
];
