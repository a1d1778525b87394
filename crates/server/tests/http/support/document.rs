//! The OpenAPI document as tests ask it.

use std::sync::OnceLock;

use http::Method;
use serde_json::Value;

/// The document that the code gives.
pub(crate) struct Document {
    pub(crate) json: Value,
}

/// One operation of the document.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The roles that may call it; none where it is open to all.
    pub(crate) roles: Vec<String>,
    pub(crate) json: Value,
}

impl Document {
    pub(crate) fn get() -> &'static Self {
        static DOCUMENT: OnceLock<Document> = OnceLock::new();
        DOCUMENT.get_or_init(|| Self { json: serde_json::to_value(tidings_server::openapi()).unwrap() })
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (path, item) in self.json["paths"].as_object().unwrap() {
            for (method, json) in item.as_object().unwrap() {
                let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
                if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                    continue;
                }
                let roles = json["security"][0]["key"].as_array().cloned().unwrap_or_default();
                operations.push(Operation {
                    id: json["operationId"].as_str().unwrap().to_owned(),
                    method,
                    path: path.clone(),
                    roles: roles.iter().map(|role| role.as_str().unwrap().to_owned()).collect(),
                    json: json.clone(),
                });
            }
        }
        operations
    }

    /// Checks that an answer is among those that the document foresees.
    pub(crate) fn check(&self, method: &Method, path: &str, status: u16, code: Option<&str>) {
        let path = path.split('?').next().unwrap();
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        let operation = self.operations().into_iter().filter(|o| o.method == method && matches(&o.path, path));
        // The more specific of two templates has fewer parameters.
        let Some(operation) = operation.min_by_key(|o| o.path.matches('{').count()) else {
            assert!(matches!(status, 404 | 405), "{method} {path} answers {status} but is not in the document");
            return;
        };
        let response = &operation.json["responses"][status.to_string()];
        assert!(response.is_object(), "{} may not answer {status} by the document", operation.id);
        if let Some(code) = code {
            let examples = &response["content"]["application/problem+json"]["examples"];
            assert!(examples[code].is_object(), "{} may not answer {code} by the document", operation.id);
        }
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(path).all(|(t, p)| t.starts_with('{') || *t == p)
}
