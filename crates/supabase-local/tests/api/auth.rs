//! Sign-in as the official client does it, with the real server's answers.

use crate::local::start;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use supabase_local::{LocalSupabase, auth, jwt};

const ALICE: &str = "11111111-1111-4111-8111-111111111111";

async fn call(
    server: &LocalSupabase,
    method: Method,
    path: &str,
    bearer: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = Client::new()
        .request(method, format!("{}/auth/v1/{path}", server.url()))
        .header("apikey", server.anon_key());
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

async fn server() -> LocalSupabase {
    let server = start("", |config| config.token_seconds = 900).await;
    let id = ALICE.parse().unwrap();
    auth::create_user(server.pool(), "Alice@example.com", "first", id).await.unwrap();
    auth::create_user(server.pool(), "alice@example.com", "correct horse", id).await.unwrap();
    server
}

async fn sign_in(server: &LocalSupabase) -> Value {
    let body = json!({"email": "alice@example.com", "password": "correct horse"});
    let (status, answer) =
        call(server, Method::POST, "token?grant_type=password", None, Some(body)).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn text<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer[key].as_str().unwrap()
}

#[tokio::test]
async fn a_user_of_no_instance_cannot_sign_in() {
    let server = server().await;
    for (instance, expected) in [("null", 400), ("'00000000-0000-0000-0000-000000000000'", 200)] {
        let set = format!("update auth.users set instance_id = {instance}");
        sqlx::query(sqlx::AssertSqlSafe(set)).execute(server.pool()).await.unwrap();
        let body = json!({"email": "alice@example.com", "password": "correct horse"});
        let path = "token?grant_type=password";
        let (status, answer) = call(&server, Method::POST, path, None, Some(body)).await;
        assert_eq!(status, expected, "{instance}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_password_gives_a_session() {
    let server = server().await;
    let answer = sign_in(&server).await;
    assert_eq!((text(&answer, "token_type"), &answer["expires_in"]), ("bearer", &json!(900)));
    assert_eq!(answer["user"]["email"], "alice@example.com");
    let now = jwt::system_clock()();
    let claims = jwt::verify(server.jwt_secret(), text(&answer, "access_token"), now).unwrap();
    for (claim, want) in [
        ("sub", json!(ALICE)),
        ("role", json!("authenticated")),
        ("aud", json!("authenticated")),
        ("email", json!("alice@example.com")),
        ("exp", answer["expires_at"].clone()),
        ("app_metadata", json!({"provider": "email", "providers": ["email"]})),
    ] {
        assert_eq!(claims[claim], want, "{claim}");
    }
    let token = text(&answer, "access_token");
    let (status, user) = call(&server, Method::GET, "user", Some(token), None).await;
    assert_eq!((status, &user["id"]), (200, &json!(ALICE)));
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_the_real_bodies() {
    let server = server().await;
    let password = "token?grant_type=password";
    let refresh = "token?grant_type=refresh_token";
    let wrong = json!({"email": "alice@example.com", "password": "first"});
    let nobody = json!({"email": "bob@example.com", "password": "x"});
    let unknown = json!({"refresh_token": "nope"});
    let foreign = jwt::sign_hs256("another", &json!({"sub": ALICE})).unwrap();
    for (method, path, bearer, body, status, error_code) in [
        (Method::POST, password, None, Some(wrong), 400, "invalid_credentials"),
        (Method::POST, password, None, Some(nobody), 400, "invalid_credentials"),
        (Method::POST, password, None, Some(json!({})), 400, "validation_failed"),
        (Method::POST, "token", None, Some(json!({})), 400, "validation_failed"),
        (Method::POST, refresh, None, Some(unknown), 400, "refresh_token_not_found"),
        (Method::GET, "user", None, None, 401, "no_authorization"),
        (Method::GET, "user", Some(foreign.as_str()), None, 403, "bad_jwt"),
        (Method::GET, "user", Some(server.anon_key()), None, 403, "bad_jwt"),
    ] {
        let (got, answer) = call(&server, method, path, bearer, body).await;
        assert_eq!((got, &answer["error_code"]), (status, &json!(error_code)), "{path}: {answer}");
        assert_eq!(answer["code"], status);
    }
    let wrong = json!({"email": "alice@example.com", "password": ""});
    let (_, answer) = call(&server, Method::POST, password, None, Some(wrong)).await;
    let want = json!({"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"});
    assert_eq!(answer, want);
    server.stop().await;
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_stolen_one_ends_the_session() {
    let server = server().await;
    let refresh = |token: String| {
        let server = &server;
        async move {
            let body = json!({"refresh_token": token});
            call(server, Method::POST, "token?grant_type=refresh_token", None, Some(body)).await
        }
    };
    let first = text(&sign_in(&server).await, "refresh_token").to_owned();
    let (status, answer) = refresh(first.clone()).await;
    assert_eq!(status, 200);
    let second = text(&answer, "refresh_token").to_owned();
    assert_ne!(first, second);
    // Two tabs at the same time: the late one gets what the early one got.
    let (status, answer) = refresh(first.clone()).await;
    assert_eq!((status, text(&answer, "refresh_token")), (200, second.as_str()));
    let age = "update auth.refresh_tokens set revoked_at = revoked_at - interval '1 minute'";
    sqlx::query(age).execute(server.pool()).await.unwrap();
    let (status, answer) = refresh(first).await;
    assert_eq!((status, text(&answer, "error_code")), (400, "refresh_token_already_used"));
    let (status, _) = refresh(second).await;
    assert_eq!(status, 400, "the session is over for whoever holds its tokens");
    server.stop().await;
}

#[tokio::test]
async fn a_logout_ends_sessions_by_scope() {
    let server = server().await;
    let (here, there) = (sign_in(&server).await, sign_in(&server).await);
    let user = |answer: &Value| {
        let (server, token) = (&server, text(answer, "access_token").to_owned());
        async move { call(server, Method::GET, "user", Some(&token), None).await.0 }
    };
    let token = text(&here, "access_token");
    let (status, _) = call(&server, Method::POST, "logout?scope=local", Some(token), None).await;
    assert_eq!(status, 204);
    assert_eq!((user(&here).await, user(&there).await), (403, 200));
    let token = text(&there, "access_token");
    call(&server, Method::POST, "logout", Some(token), None).await;
    assert_eq!(user(&there).await, 403);
    server.stop().await;
}

#[tokio::test]
async fn a_browser_of_another_origin_may_ask() {
    let server = server().await;
    let answer = Client::new()
        .request(Method::OPTIONS, format!("{}/auth/v1/token", server.url()))
        .header("origin", "http://localhost:5173")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "apikey,authorization,x-client-info")
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success());
    let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "*");
    assert_eq!(header("access-control-allow-headers"), "apikey,authorization,x-client-info");
    assert_eq!(call(&server, Method::GET, "health", None, None).await.0, 200);
    server.stop().await;
}
