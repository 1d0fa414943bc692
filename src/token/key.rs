//! Reads private keys in the forms that Supabase and OpenSSL write them.

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::Deserialize;

use super::TokenError;

/// A key that can sign.
pub(super) struct ParsedKey {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    pub key: EncodingKey,
}

/// Reads a JWK, a set of JWKs or a PEM private key.
pub(super) fn parse(text: &str) -> Result<ParsedKey, TokenError> {
    let text = text.trim();
    if text.starts_with("-----BEGIN") {
        return parse_pem(text);
    }
    if !text.starts_with(['{', '[']) {
        return Err(TokenError::NotAKey("it begins neither with { nor with -----BEGIN"));
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Document {
        Set { keys: Vec<Jwk> },
        List(Vec<Jwk>),
        One(Box<Jwk>),
    }
    let document: Document =
        serde_json::from_str(text).map_err(|_| TokenError::NotAKey("it is not a valid JWK"))?;
    match document {
        Document::One(jwk) => jwk.to_key(),
        Document::Set { keys } | Document::List(keys) => keys
            .iter()
            .find(|jwk| jwk.is_private())
            .ok_or(TokenError::Unusable("none of the JWKs has a private part"))?
            .to_key(),
    }
}

/// The members of RFC 7517 and 7518 that private keys have.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    k: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<String>,
    n: Option<String>,
    e: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
}

impl Jwk {
    const fn is_private(&self) -> bool {
        self.d.is_some() || self.k.is_some()
    }

    fn to_key(&self) -> Result<ParsedKey, TokenError> {
        if !self.is_private() {
            return Err(TokenError::Unusable("it is a public key; the private one is needed"));
        }
        let (algorithm, key) = match self.kty.as_str() {
            "EC" => (Algorithm::ES256, self.to_ec()?),
            "RSA" => (Algorithm::RS256, self.to_rsa()?),
            "oct" => (Algorithm::HS256, EncodingKey::from_secret(&part(self.k.as_ref())?)),
            _ => return Err(TokenError::Unusable("only EC, RSA and oct keys are supported")),
        };
        if self.alg.as_deref().is_some_and(|alg| alg != format!("{algorithm:?}")) {
            return Err(TokenError::Unusable("only ES256, RS256 and HS256 are supported"));
        }
        Ok(ParsedKey { algorithm, kid: self.kid.clone(), key })
    }

    fn to_ec(&self) -> Result<EncodingKey, TokenError> {
        if self.crv.as_deref() != Some("P-256") {
            return Err(TokenError::Unusable("only the curve P-256 is supported"));
        }
        let mut public = vec![4];
        public.extend(fixed_width(part(self.x.as_ref())?)?);
        public.extend(fixed_width(part(self.y.as_ref())?)?);
        let private = fixed_width(part(self.d.as_ref())?)?;
        EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &private,
            &public,
        )
        .map_err(|_| TokenError::Unusable("its private part does not fit its public part"))
        .and_then(|pair| encoding_key(&pair))
    }

    fn to_rsa(&self) -> Result<EncodingKey, TokenError> {
        let strip = |mut bytes: Vec<u8>| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes.drain(..zeros);
            bytes
        };
        let components = KeyPairComponents {
            public_key: PublicKeyComponents {
                n: strip(part(self.n.as_ref())?),
                e: strip(part(self.e.as_ref())?),
            },
            d: part(self.d.as_ref())?,
            p: part(self.p.as_ref())?,
            q: part(self.q.as_ref())?,
            dP: part(self.dp.as_ref())?,
            dQ: part(self.dq.as_ref())?,
            qInv: part(self.qi.as_ref())?,
        };
        let unfit = |_| TokenError::Unusable("its RSA parts do not fit each other");
        KeyPair::from_components(&components)
            .map_err(unfit)
            .and_then(|pair| rsa_encoding_key(&pair))
    }
}

/// One base64url part; padding is tolerated.
fn part(text: Option<&String>) -> Result<Vec<u8>, TokenError> {
    let text = text.ok_or(TokenError::NotAKey("a part of the JWK is missing"))?;
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| TokenError::NotAKey("a part of the JWK is not base64url"))
}

/// A P-256 number as 32 bytes; some writers leave leading zeros out.
fn fixed_width(bytes: Vec<u8>) -> Result<[u8; 32], TokenError> {
    let mut wide = [0; 32];
    let start = 32usize
        .checked_sub(bytes.len())
        .ok_or(TokenError::NotAKey("a part of the JWK is too long for its curve"))?;
    for (place, byte) in wide.iter_mut().skip(start).zip(bytes) {
        *place = byte;
    }
    Ok(wide)
}

fn encoding_key(pair: &EcdsaKeyPair) -> Result<EncodingKey, TokenError> {
    let der = pair.to_pkcs8v1().map_err(|_| TokenError::Unusable("it cannot be re-encoded"))?;
    Ok(EncodingKey::from_ec_der(der.as_ref()))
}

fn parse_pem(text: &str) -> Result<ParsedKey, TokenError> {
    // Environment variables often carry line ends as two characters.
    let text = text.replace("\\n", "\n");
    let mut lines = text.lines().map(str::trim);
    // OpenSSL writes a block of curve parameters before the key itself.
    let label = lines
        .find(|line| line.starts_with("-----BEGIN ") && line.ends_with("PRIVATE KEY-----"))
        .ok_or(TokenError::Unusable("it is a public key; the private one is needed"))?;
    if label.contains("ENCRYPTED") {
        return Err(TokenError::Unusable("it is encrypted; a key without pass phrase is needed"));
    }
    let body: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    let der = STANDARD
        .decode(&body)
        .map_err(|_| TokenError::NotAKey("the text between the PEM markers is not base64"))?;
    if let Ok(pair) = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
        return Ok(ParsedKey { algorithm: Algorithm::ES256, kid: None, key: encoding_key(&pair)? });
    }
    let neither = |_| TokenError::Unusable("it is neither a P-256 nor an RSA private key");
    let pair = KeyPair::from_pkcs8(&der).or_else(|_| KeyPair::from_der(&der)).map_err(neither)?;
    Ok(ParsedKey { algorithm: Algorithm::RS256, kid: None, key: rsa_encoding_key(&pair)? })
}

fn rsa_encoding_key(pair: &KeyPair) -> Result<EncodingKey, TokenError> {
    let unusable = TokenError::Unusable("it cannot be re-encoded");
    let der = pair.as_der().map_err(|_| unusable.clone())?;
    // The JWT library takes RSA keys in PKCS#8 only as PEM.
    let body = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| unusable)
}
