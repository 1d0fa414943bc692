//! What the recording does not hold, each case with the answer that PostgREST's documents promise.

use axum::Router;
use serde_json::{Value, json};
use supabase_local::{
    migrate::run_file,
    rest::{Rest, RestConfig},
};

use super::{
    SECRET, cluster,
    server::{headers, outage, schema_changes, send},
};

struct Check<'a> {
    router: &'a Router,
    failed: Vec<String>,
}

impl Check<'_> {
    /// The status, and the body as JSON; of an error only its code has to be given.
    async fn call(
        &mut self,
        line: &str,
        headers: &[(&str, &str)],
        body: &str,
        status: u16,
        expected: Value,
    ) {
        let (got_status, _, text) = send(self.router, line, headers, body).await;
        let got = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let same = match (&expected, got.get("code")) {
            (Value::String(code), Some(got)) => got == code,
            _ => got == expected,
        };
        if got_status != status || !same {
            self.failed.push(format!("{line}: {got_status} {got}, not {status} {expected}"));
        }
    }

    async fn get(&mut self, path: &str, status: u16, expected: Value) {
        self.call(&format!("GET {path}"), &[], "", status, expected).await;
    }

    async fn post(&mut self, path: &str, body: Value, status: u16, expected: Value) {
        let representation = [("prefer", "return=representation")];
        let body = body.to_string();
        self.call(&format!("POST {path}"), &representation, &body, status, expected).await;
    }
}

#[tokio::test]
async fn everything_else_is_answered_as_documented() {
    let mut cluster = cluster().await;
    cluster.create_database("wider").await.unwrap();
    let schema =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rest_fixtures/schema.sql");
    run_file(&cluster.url("postgres", "wider"), &schema).await.unwrap();
    let mut config = RestConfig::new(cluster.url("authenticator", "wider"), SECRET);
    config.acquire_timeout = std::time::Duration::from_secs(1);
    let rest = Rest::start(config).await.unwrap();
    let router = rest.router();
    let mut check = Check { router: &router, failed: Vec::new() };
    embedding(&mut check).await;
    filters(&mut check).await;
    functions(&mut check).await;
    writes(&mut check).await;
    refusals(&mut check).await;
    assert!(check.failed.is_empty(), "{}", check.failed.join("\n"));
    headers(&router).await;
    schema_changes(&cluster, &rest, &router).await;
    outage(&mut cluster, &router).await;
    rest.close().await;
    cluster.stop().await.unwrap();
}

async fn embedding(check: &mut Check<'_>) {
    check
        .get(
            "/rules?select=name,project:projects(name)&order=id&limit=1",
            200,
            json!([{"name": "first", "project": {"name": "one"}}]),
        )
        .await;
    check
        .get(
            "/projects?select=id,rules(id)&order=id&rules.order=id.desc&rules.limit=1",
            200,
            json!([{"id": 1, "rules": [{"id": 2}]}, {"id": 2, "rules": [{"id": 3}]}, {"id": 3, "rules": []}]),
        )
        .await;
    check
        .get(
            "/projects?select=id,rules!inner(id)&rules.name=eq.third",
            200,
            json!([{"id": 2, "rules": [{"id": 3}]}]),
        )
        .await;
    check.get("/projects?select=id,project_settings(color)&id=lt.3&order=id", 200,
        json!([{"id": 1, "project_settings": {"color": "red"}}, {"id": 2, "project_settings": null}])).await;
    check.get("/rules?select=id,channels(kind)&id=in.(1,2)&order=id&channels.order=kind", 200,
        json!([{"id": 1, "channels": [{"kind": "email"}, {"kind": "slack"}]}, {"id": 2, "channels": []}])).await;
    check
        .get(
            "/rule_channels?select=level,rules(name,projects(name))&rule_id=eq.3",
            200,
            json!([{"level": "warning", "rules": {"name": "third", "projects": {"name": "two"}}}]),
        )
        .await;
    check.get("/rules?select=people(name)", 300, json!("PGRST201")).await;
    check
        .get(
            "/rules?select=by:people!rules_created_by_fkey(name),updated_by(name)&id=eq.1",
            200,
            json!([{"by": {"name": "ann"}, "updated_by": {"name": "ben"}}]),
        )
        .await;
    check.get("/projects?select=id,rules()&rules=is.null", 200, json!([{"id": 3}])).await;
    check
        .get(
            "/projects?select=id,rules()&rules=not.is.null&order=id",
            200,
            json!([{"id": 1}, {"id": 2}]),
        )
        .await;
    check.get("/rules?select=id,projects(name)&order=projects(name).desc,id&projects=not.is.null", 200,
        json!([{"id": 3, "projects": {"name": "two"}}, {"id": 1, "projects": {"name": "one"}}, {"id": 2, "projects": {"name": "one"}}])).await;
    check.get("/projects?select=id,rules(id)&order=rules(id)", 400, json!("PGRST118")).await;
    check.get("/projects?select=id,people(id)", 400, json!("PGRST200")).await;
    check.get("/projects?select=id&rules.id=eq.1", 400, json!("PGRST108")).await;
    check.get("/folders?select=id,folders!parent_id(id)&id=eq.1", 300, json!("PGRST201")).await;
    check
        .get(
            "/folders?select=id,parent_id(name)&id=eq.2",
            200,
            json!([{"id": 2, "parent_id": {"name": "root"}}]),
        )
        .await;
    check.get("/rule_names?select=id,projects(id)", 501, json!("LOCAL501")).await;
}

async fn filters(check: &mut Check<'_>) {
    check.get("/rules?select=id&name=eq.second, \"quoted\"", 200, json!([{"id": 2}])).await;
    check
        .get(
            "/rules?select=id&name=in.(\"second, \\\"quoted\\\"\",first)&order=id",
            200,
            json!([{"id": 1}, {"id": 2}]),
        )
        .await;
    check.get("/rules?select=id&tags=ov.{x}&order=id", 200, json!([{"id": 1}])).await;
    check.get("/rules?select=id&tags=cd.{y}&order=id", 200, json!([{"id": 2}, {"id": 3}])).await;
    check
        .get(
            "/rules?select=id&name=like(any).{f*,th*}&order=id",
            200,
            json!([{"id": 1}, {"id": 3}]),
        )
        .await;
    check.get("/rules?select=id&name=match.^f", 200, json!([{"id": 1}])).await;
    check
        .get(
            "/rules?select=id&created_by=isdistinct.1&order=id",
            200,
            json!([{"id": 2}, {"id": 3}]),
        )
        .await;
    check.get("/rules?select=id&or=(created_by.is.null,and(id.gt.1,not.or(name.eq.first,name.eq.third)))&order=id",
        200, json!([{"id": 2}, {"id": 3}])).await;
    check
        .get(
            "/rules?select=id,settings->a->b->>1,threshold::text,settings->a&id=eq.1",
            200,
            json!([{"id": 1, "b": "2", "threshold": "5.50", "a": {"b": [1, 2]}}]),
        )
        .await;
    check.get("/rules?select=id&tags->>0=eq.x", 200, json!([{"id": 1}])).await;
    check
        .get(
            "/rules?select=created_by&order=created_by.asc.nullsfirst&limit=2",
            200,
            json!([{"created_by": null}, {"created_by": 1}]),
        )
        .await;
    check
        .get(
            "/odd \"name?select=\"a.b\",select&\"a.b\"=eq.7",
            200,
            json!([{"a.b": 7, "select": "x"}]),
        )
        .await;
    check.get("/rules?select=id&limit=0", 200, json!([])).await;
    check.get("/rules?select=id&name=eq.'; drop table rules; --", 200, json!([])).await;
    check.get("/rules?select=id&name=eq.%5C'; drop table rules; --", 200, json!([])).await;
    check.get("/rules?select=id::int; drop table rules", 400, json!("PGRST100")).await;
    check.get("/rules?select=id&name=eq.%00", 400, json!("PGRST100")).await;
    check.get("/rules?select=\"id\" from rules; --\"", 400, json!("PGRST100")).await;
    check.get("/rules?select=id&order=\"id; drop table rules\"", 400, json!("42703")).await;
}

async fn functions(check: &mut Check<'_>) {
    check.call("POST /rpc/nothing", &[], "", 204, json!("")).await;
    check.get("/rpc/numbers?n=3", 200, json!([1, 2, 3])).await;
    check
        .post(
            "/rpc/one_rule?select=id,name,projects(name)",
            json!({"wanted": 1}),
            200,
            json!({"id": 1, "name": "first", "projects": {"name": "one"}}),
        )
        .await;
    check
        .get("/rpc/all_rules?select=id&id=gt.1&order=id.desc", 200, json!([{"id": 3}, {"id": 2}]))
        .await;
    check.post("/rpc/echo", json!([1, {"x": null}, "it's \\"]), 400, json!("PGRST102")).await;
    check.post("/rpc/echo", json!({"x": "it's \\"}), 200, json!({"x": "it's \\"})).await;
    check.post("/rpc/greet", json!({"who": "ann"}), 200, json!("hello ann")).await;
    check.get("/rpc/greet?who=ann&greeting=hi", 200, json!("hi ann")).await;
    check.post("/rpc/total", json!({"numbers": [1, 2, 3]}), 200, json!(6)).await;
    check.post("/rpc/two_of", json!({"a": 1}), 300, json!("PGRST203")).await;
    check.post("/rpc/two_of", json!({"a": 1, "b": 2}), 200, json!(3)).await;
    check.get("/rpc/writes", 405, json!("25006")).await;
    check.post("/rpc/writes", json!({}), 200, json!(99)).await;
    check.post("/rpc/teapot", json!({}), 418, json!("PT418")).await;
    check.call("DELETE /rpc/greet", &[], "", 405, json!("PGRST101")).await;
}

async fn writes(check: &mut Check<'_>) {
    check
        .post(
            "/channels?select=id",
            json!([{"id": 10, "kind": "a"}, {"id": 11, "kind": "b"}]),
            201,
            json!([{"id": 10}, {"id": 11}]),
        )
        .await;
    check
        .post(
            "/rule_channels?select=level,channels(kind)",
            json!({"rule_id": 1, "channel_id": 10}),
            201,
            json!([{"level": "warning", "channels": {"kind": "a"}}]),
        )
        .await;
    let defaults = [("prefer", "return=representation, missing=default")];
    check.call("POST /rule_channels?columns=rule_id,channel_id,level&select=channel_id,level", &defaults,
        r#"[{"rule_id":2,"channel_id":10},{"rule_id":2,"channel_id":11,"level":"critical"}]"#, 201,
        json!([{"channel_id": 10, "level": "warning"}, {"channel_id": 11, "level": "critical"}])).await;
    let merge = [("prefer", "return=representation, resolution=merge-duplicates")];
    check
        .call(
            "POST /channels",
            &merge,
            r#"[{"id":10,"kind":"A"},{"id":12,"kind":"c"}]"#,
            201,
            json!([{"id": 10, "kind": "A"}, {"id": 12, "kind": "c"}]),
        )
        .await;
    check
        .call(
            "POST /channels",
            &merge,
            r#"[{"id":10,"kind":"AA"}]"#,
            200,
            json!([{"id": 10, "kind": "AA"}]),
        )
        .await;
    check
        .call(
            "PATCH /channels?id=gte.10&select=id&order=id.desc",
            &[("prefer", "return=representation")],
            r#"{"kind":"z"}"#,
            200,
            json!([{"id": 12}, {"id": 11}, {"id": 10}]),
        )
        .await;
    let object =
        [("prefer", "return=representation"), ("accept", "application/vnd.pgrst.object+json")];
    check
        .call("PATCH /channels?id=gte.10", &object, r#"{"kind":"gone"}"#, 406, json!("PGRST116"))
        .await;
    check.get("/channels?select=kind&id=eq.10", 200, json!([{"kind": "z"}])).await;
    check
        .call(
            "PATCH /channels?id=eq.12&select=kind",
            &object,
            r#"{"kind":"y"}"#,
            200,
            json!({"kind": "y"}),
        )
        .await;
    let few = [("prefer", "handling=strict, max-affected=1")];
    check
        .call("PATCH /channels?id=gte.11", &few, r#"{"kind":"few"}"#, 400, json!("PGRST124"))
        .await;
    check.call("PATCH /channels?id=eq.12", &[], "{}", 204, json!("")).await;
    check.call("PATCH /channels", &[], r#"{"kind":"all"}"#, 400, json!("21000")).await;
    check.call("DELETE /channels", &[], "", 400, json!("21000")).await;
    check.call("DELETE /channels?id=eq.1&limit=1", &[], "", 501, json!("LOCAL501")).await;
    check
        .call(
            "DELETE /channels?id=eq.12&select=id",
            &[("prefer", "return=representation")],
            "",
            200,
            json!([{"id": 12}]),
        )
        .await;
    check.post("/people", json!({"id": 1, "name": "again"}), 409, json!("23505")).await;
    check.post("/rules", json!({"name": "x", "project_id": 77}), 409, json!("23503")).await;
    check.post("/rules", json!({"name": "x".repeat(50)}), 400, json!("22001")).await;
    check.post("/people", json!({"id": 5, "name": "a\u{0}b"}), 400, json!("22P05")).await;
}

async fn refusals(check: &mut Check<'_>) {
    check.get("/", 501, json!("LOCAL501")).await;
    check.get("/a/b/c", 404, json!("PGRST125")).await;
    check.get("/rule", 404, json!("PGRST205")).await;
    check.get("/rules?select=count()", 400, json!("PGRST123")).await;
    check.get("/rules?name=fts.a", 501, json!("LOCAL501")).await;
    check.get("/rules?select=...projects(name)", 501, json!("LOCAL501")).await;
    check.get("/rules?limit=-1", 416, json!("PGRST103")).await;
    check.call("GET /rules", &[("accept", "image/png")], "", 406, json!("PGRST107")).await;
    check.call("GET /rules", &[("prefer", "timezone=UTC")], "", 501, json!("LOCAL501")).await;
    check.call("POST /rules", &[("content-encoding", "gzip")], "", 501, json!("LOCAL501")).await;
    check.call("PUT /people?id=eq.1", &[], r#"{"id":1}"#, 501, json!("LOCAL501")).await;
    check.call("TRACE /people", &[], "", 405, json!("PGRST117")).await;
}
