//! Calls with arbitrary parameters, for the suites `live` and `conformance` only.

use serde_json::Value;

use super::client::{Request, TencentKms};
use super::error::TencentError;

impl TencentKms {
    /// Calls `action` with exactly these parameters and returns all fields of the response, including a plaintext. Signed,
    /// limited and retried like every call.
    pub async fn raw(
        &self,
        action: &'static str,
        region: &str,
        parameters: &Value,
    ) -> Result<Value, TencentError> {
        let request = Request {
            reads_ciphertext: parameters.get("CiphertextBlob").is_some(),
            ..Request::new(action, region, parameters)
        };
        Ok(self.call::<_, Value>(&request).await?.value)
    }
}
