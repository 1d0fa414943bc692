//! What the files in `deploy/` say fits together, and fits the binary: what a schema would not know.

use std::{collections::BTreeSet, fs, path::Path};

use meshhook_errors::rules_file::yaml::{self, Data, Node};
use serde_json::{Map, Value};

/// The keys that a service of a compose file may have, as far as ours need them.
const COMPOSE_KEYS: &[&str] = &[
    "<<",
    "build",
    "cap_drop",
    "env_file",
    "environment",
    "image",
    "logging",
    "mem_limit",
    "pids_limit",
    "ports",
    "read_only",
    "restart",
    "security_opt",
    "stop_grace_period",
];

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The documents of a YAML file.
fn documents(path: &str) -> Vec<Value> {
    let text = text(path);
    let read = |part: &str| value(&yaml::load(part).unwrap_or_else(|e| panic!("{path}: {e}")));
    text.split("\n---\n").map(read).collect()
}

fn value(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Flag(flag) => (*flag).into(),
        Data::Whole(number) => (*number).into(),
        Data::Number(number) => (*number).into(),
        Data::Text(text) => text.as_str().into(),
        Data::List(list) => list.iter().map(value).collect(),
        Data::Map(pairs) => pairs
            .iter()
            .map(|(key, _, one)| (key.clone(), value(one)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer}: {value}"))
}

#[test]
fn kubernetes_documents_fit_together() {
    let documents = documents("deploy/kubernetes/meshhook-errors.yaml");
    let kind = |kind: &str| -> &Value {
        documents
            .iter()
            .find(|document| document["kind"] == kind)
            .unwrap_or_else(|| panic!("{kind}"))
    };
    for document in &documents {
        assert_eq!(keys(document), BTreeSet::from(["apiVersion", "kind", "metadata", "spec"]));
        assert_eq!(document["metadata"]["name"], "meshhook-errors");
    }
    let (deployment, service) = (kind("Deployment"), kind("Service"));
    assert_eq!(
        (&deployment["apiVersion"], &service["apiVersion"]),
        (&"apps/v1".into(), &"v1".into())
    );
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(&kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(kind("PodDisruptionBudget")["apiVersion"], "policy/v1");
    assert!(deployment["spec"]["replicas"].as_i64() >= Some(2), "one leads, another takes over");

    let pod = &deployment["spec"]["template"]["spec"];
    for constraint in list(pod, "/topologySpreadConstraints") {
        assert_eq!(&constraint["labelSelector"]["matchLabels"], labels);
    }
    let [container] = list(pod, "/containers") else { panic!("one container: {pod}") };
    let port = &list(container, "/ports")[0];
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        let get = &container[probe]["httpGet"];
        assert_eq!((&get["path"], &get["port"]), (&path.into(), &port["name"]), "{probe}");
    }
    assert_eq!(list(service, "/spec/ports")[0]["targetPort"], port["name"]);
    let listen = list(container, "/env").iter().find(|variable| variable["name"] == "HTTP_LISTEN");
    let port = port["containerPort"].to_string();
    assert_eq!(listen.unwrap()["value"], format!("0.0.0.0:{port}"));
    let scraped = &deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"];
    assert_eq!(scraped.as_str(), Some(&*port));
    // As the image has it, and nothing more than it needs.
    let user = format!(
        "USER {}:{}",
        pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]
    );
    assert!(text("deploy/Dockerfile").contains(&user), "{user}");
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
}

#[test]
fn compose_services_fit_together() {
    let documents = documents("deploy/compose.yaml");
    let [compose] = &documents[..] else { panic!("one document") };
    assert_eq!(keys(compose), BTreeSet::from(["services", "x-instance"]));
    let shared = &compose["x-instance"];
    let dockerfile = shared["build"]["dockerfile"].as_str().unwrap();
    assert_eq!((dockerfile, &shared["build"]["context"]), ("deploy/Dockerfile", &"..".into()));
    assert!(text(dockerfile).contains("HEALTHCHECK"));
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.len(), 2, "one leads, the other takes over");
    let mut outside = BTreeSet::new();
    for (name, service) in services {
        let unknown: Vec<_> = keys(service)
            .into_iter()
            .chain(keys(shared))
            .filter(|key| !COMPOSE_KEYS.contains(key))
            .collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        assert_eq!(&service["<<"], shared);
        assert_eq!(service["environment"]["INSTANCE_NAME"], name.as_str());
        let listen = service["environment"]["HTTP_LISTEN"].as_str().unwrap();
        for port in list(service, "/ports") {
            let (host, inner) = port.as_str().unwrap().rsplit_once(':').unwrap();
            assert!(listen.ends_with(&format!(":{inner}")), "{name}: {listen} and {port}");
            assert!(outside.insert(host.to_owned()), "{host} is given twice");
        }
    }
}

#[test]
fn railway_and_systemd_run_what_the_image_has() {
    let dockerfile = text("deploy/Dockerfile");
    let binary = "/usr/local/bin/meshhook-errors";
    assert!(dockerfile.contains(&format!("ENTRYPOINT [\"{binary}\"]")));
    let railway = text("deploy/railway.errors.toml");
    for line in [
        format!("startCommand = \"{binary} run\""),
        "dockerfilePath = \"deploy/Dockerfile\"".to_owned(),
        "healthcheckPath = \"/healthz\"".to_owned(),
    ] {
        assert!(railway.lines().any(|known| known == line), "{line}");
    }
    let unit = text("deploy/meshhook-errors.service");
    assert!(unit.lines().any(|line| line == format!("ExecStart={binary} run")));
    assert!(unit.lines().any(|line| line == "RestartPreventExitStatus=64"));
}

#[test]
fn every_alert_of_prometheus_has_a_test() {
    let rules = documents("deploy/prometheus/alerts.yaml");
    let tests = documents("deploy/prometheus/alerts_test.yaml");
    let alerts = list(&rules[0], "/groups").iter().flat_map(|group| list(group, "/rules"));
    let alerts: BTreeSet<&str> = alerts.filter_map(|rule| rule["alert"].as_str()).collect();
    let cases = list(&tests[0], "/tests").iter().flat_map(|test| list(test, "/alert_rule_test"));
    let fires = |case: &&Value| !list(case, "/exp_alerts").is_empty();
    let fired: BTreeSet<&str> =
        cases.filter(fires).filter_map(|case| case["alertname"].as_str()).collect();
    assert_eq!(alerts, fired);
}
