use aws_lc_rs::{
    encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, EcPrivateKeyRfc5915Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn pem(label: &str, der: &[u8]) -> SecretString {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into()
}

fn daemon() -> Claims {
    let extra = json!({"sub": "daemon"}).as_object().expect("object").clone();
    Claims { role: "error_daemon".to_owned(), issuer: "meshhook-errors".to_owned(), extra }
}

/// Mints with `source` and checks signature and claims with the public key.
fn check(name: &str, source: &TokenSource, algorithm: Algorithm, public: &DecodingKey) -> Header {
    let token = source.mint(&daemon(), Span::from_secs(3600), NOW).expect(name);
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["authenticated"]);
    validation.set_issuer(&["meshhook-errors"]);
    validation.validate_exp = false;
    let decoded = jsonwebtoken::decode::<Value>(token.expose_secret(), public, &validation)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected = json!({"role": "error_daemon", "aud": "authenticated", "sub": "daemon",
        "iss": "meshhook-errors", "iat": 1_795_000_000, "exp": 1_795_003_600});
    assert_eq!(decoded.claims, expected, "{name}");
    decoded.header
}

fn ec_jwk(pair: &EcdsaKeyPair) -> Value {
    let public = pair.public_key().as_ref();
    let private: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().expect("private key");
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "ec-1", "use": "sig",
        "key_ops": ["sign"], "ext": true, "x": part(&public[1..33]), "y": part(&public[33..]),
        "d": part(private.as_ref())})
}

/// The integers of a PKCS#1 private key: version, n, e, d, p, q, dp, dq, qi.
fn pkcs1_integers(der: &[u8]) -> Vec<Vec<u8>> {
    fn item(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, start) = match usize::from(der[1]) {
            long @ 0x80.. => {
                let count = long - 0x80;
                let length =
                    der[2..2 + count].iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
                (length, 2 + count)
            }
            short => (short, 2),
        };
        der[start..].split_at(length)
    }
    let (mut rest, _) = item(der);
    let mut integers = Vec::new();
    while !rest.is_empty() {
        let (integer, tail) = item(rest);
        integers.push(integer.iter().copied().skip_while(|byte| *byte == 0).collect());
        rest = tail;
    }
    integers
}

#[test]
fn every_kind_of_key_signs_what_its_public_key_verifies() {
    let secret = "super-secret-jwt-token-with-at-least-32-characters";
    let source = TokenSource::hs256(&secret.into()).expect("secret");
    check("secret", &source, Algorithm::HS256, &DecodingKey::from_secret(secret.as_bytes()));

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("EC key");
    let jwk = ec_jwk(&pair);
    let part = |name: &str| jwk[name].as_str().expect("part").to_owned();
    let public = DecodingKey::from_ec_components(&part("x"), &part("y")).expect("public key");
    let pkcs8 = pem("PRIVATE KEY", pair.to_pkcs8v1().expect("PKCS#8").as_ref());
    let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().expect("SEC1");
    let sec1 = pem("EC PRIVATE KEY", sec1.as_ref());
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let with_parameters = format!("{parameters}{}", sec1.expose_secret());
    let public_half = json!({"kty": "EC", "crv": "P-256", "x": part("x"), "y": part("y")});
    let cases = [
        ("EC JWK", jwk.to_string().into(), Some("ec-1")),
        ("EC JWK set", json!({"keys": [public_half, jwk]}).to_string().into(), Some("ec-1")),
        ("EC JWK list", json!([jwk]).to_string().into(), Some("ec-1")),
        ("EC PKCS#8", pkcs8.clone(), None),
        ("EC on one line", pkcs8.expose_secret().replace('\n', "\\n").into(), None),
        ("EC SEC1", sec1, None),
        ("EC SEC1 after parameters", with_parameters.into(), None),
    ];
    for (name, text, kid) in cases {
        let source = TokenSource::key(&text, None).expect(name);
        let header = check(name, &source, Algorithm::ES256, &public);
        assert_eq!(header.kid.as_deref(), kid, "{name}");
        let source = TokenSource::key(&text, Some("mine".to_owned())).expect(name);
        assert_eq!(check(name, &source, Algorithm::ES256, &public).kid.as_deref(), Some("mine"));
    }

    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("RSA key");
    let pkcs8 = pair.as_der().expect("PKCS#8");
    // A 2048-bit key's PKCS#8 is its PKCS#1 behind 26 bytes of version, algorithm and lengths.
    let pkcs1 = &pkcs8.as_ref()[26..];
    let integers = pkcs1_integers(pkcs1);
    let part = |index: usize| URL_SAFE_NO_PAD.encode(&integers[index]);
    let public = DecodingKey::from_rsa_components(&part(1), &part(2)).expect("public key");
    let jwk = json!({"kty": "RSA", "kid": "rsa-1", "n": part(1), "e": part(2), "d": part(3),
        "p": part(4), "q": part(5), "dp": part(6), "dq": part(7), "qi": part(8)});
    let cases = [
        ("RSA JWK", jwk.to_string().into()),
        ("RSA PKCS#8", pem("PRIVATE KEY", pkcs8.as_ref())),
        ("RSA PKCS#1", pem("RSA PRIVATE KEY", pkcs1)),
    ];
    for (name, text) in cases {
        let source = TokenSource::key(&text, None).expect(name);
        check(name, &source, Algorithm::RS256, &public);
    }

    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret), "alg": "HS256"});
    let source = TokenSource::key(&jwk.to_string().into(), None).expect("oct JWK");
    check("oct JWK", &source, Algorithm::HS256, &DecodingKey::from_secret(secret.as_bytes()));
}

#[test]
fn what_cannot_sign_is_refused_without_showing_it() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("EC key");
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("EC key");
    let with = |name: &str, value: Value| {
        let mut jwk = ec_jwk(&pair);
        jwk[name] = value;
        jwk.to_string()
    };
    let d = ec_jwk(&pair)["d"].as_str().expect("part").to_owned();
    let block = |label, body| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----");
    let cases = [
        ("not a key at all".to_owned(), "begins neither"),
        ("{\"kty\": ".to_owned(), "not a valid JWK"),
        (with("d", Value::Null), "public key"),
        (with("d", "!".into()), "not base64url"),
        (with("d", ec_jwk(&other)["d"].clone()), "does not fit"),
        (with("x", Value::Null), "missing"),
        (with("crv", "P-384".into()), "P-256"),
        (with("alg", "ES384".into()), "ES256"),
        (with("kty", "OKP".into()), "only EC"),
        ("[]".to_owned(), "none of the JWKs"),
        (block("PUBLIC KEY", "eA=="), "public key"),
        (block("ENCRYPTED PRIVATE KEY", "eA=="), "encrypted"),
        (block("PRIVATE KEY", "eA=="), "neither a P-256"),
        (block("PRIVATE KEY", "%%%"), "not base64"),
    ];
    for (text, part) in cases {
        let error = TokenSource::key(&text.into(), None).expect_err(part).to_string();
        assert!(error.contains(part), "{part}: {error}");
        assert!(error.contains("signing key") && !error.contains(&d), "{error}");
    }
    assert_eq!(TokenSource::hs256(&"short".into()).err(), Some(TokenError::ShortSecret));
    let source = TokenSource::key(&ec_jwk(&pair).to_string().into(), None).expect("key");
    assert!(!format!("{source:?}").contains(&d));
}

#[test]
fn claims_and_life_are_checked() {
    let source = TokenSource::hs256(&"x".repeat(32).into()).expect("secret");
    for name in ["role", "exp", "iat", "aud", "iss"] {
        let mut claims = daemon();
        claims.extra.insert(name.to_owned(), json!("x"));
        let refused = source.mint(&claims, Span::from_secs(60), NOW).err();
        assert_eq!(refused, Some(TokenError::Reserved(name.to_owned())));
    }
    for life in [Span::ZERO, Span::from_secs(-60), Span::from_secs(i64::MAX)] {
        assert_eq!(source.mint(&daemon(), life, NOW).err(), Some(TokenError::Life));
    }
}

#[test]
fn tokens_are_due_at_sixty_percent_of_their_life() {
    let source = TokenSource::hs256(&"x".repeat(32).into()).expect("secret");
    let minter = Minter::new(source, daemon(), Span::from_secs(3600), Clock::manual(NOW));
    let issued = minter.issue().expect("token");
    assert_eq!(issued.refresh_after, Some(Duration::from_secs(2160)));
    assert!(!format!("{minter:?} {issued:?}").contains(issued.token.expose_secret()));

    let source = TokenSource::fixed("service-key".into());
    let minter = Minter::new(source, daemon(), Span::from_secs(3600), Clock::manual(NOW));
    let issued = minter.issue().expect("token");
    assert_eq!((issued.token.expose_secret(), issued.refresh_after), ("service-key", None));
    assert!(minter.is_fixed() && !format!("{minter:?}").contains("service-key"));
}
