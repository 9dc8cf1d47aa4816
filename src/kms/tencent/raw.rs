//! Calls with parameters that the client itself never sends. Only for suite `live`, which asks what the KMS makes of them.

use serde_json::Value;

use super::TencentKms;
use super::error::TencentError;
use super::reply::Reply;
use super::rpc::Nature;

impl TencentKms {
    /// Calls `action` with exactly these parameters and gives the fields of the answer, a plaintext among them; signed,
    /// limited and tried again as every call is.
    pub async fn raw(
        &self,
        action: &'static str,
        region: &str,
        parameters: &Value,
    ) -> Result<Value, TencentError> {
        let nature = match parameters.get("CiphertextBlob") {
            Some(_) => Nature::OnCiphertext,
            None => Nature::Repeatable,
        };
        let reply: Reply<Value> = self.kms_with(action, region, parameters, &[], nature).await?;
        Ok(reply.value)
    }
}
