//! The OpenAPI document, word for word; whoever changes the API sees what its users will see.

#[test]
fn the_document_is_what_the_code_says() {
    let document = meshhook_errors::http::api::document();
    insta::assert_json_snapshot!("openapi", document);
}
