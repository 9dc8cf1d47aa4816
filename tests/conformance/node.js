// Tencent Cloud's Node SDK against the emulator: every action, errors, credentials of a role and of a pod.
//
// Run by `cargo xtask test conformance` with the emulator's environment variables, its control URL in EMULATOR_CONTROL, and the
// paths of our programs in ENVELOPE and EVERY_CALL. The last line is `N passed, N failed, N requests compared`.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { account, actions, client, code, context, key, kms, longLived, control, region, sts } = require("./node_sdk.js");
const compare = require("./node_compare.js");

const generate = () => kms("GenerateDataKey", { KeyId: key, KeySpec: "AES_256", EncryptionContext: context });

const cases = {
  async generateDataKeyAndDecrypt() {
    const sealed = await generate();
    assert.equal(Buffer.from(sealed.Plaintext, "base64").length, 32);
    const opened = await kms("Decrypt", { CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: context });
    assert.equal(opened.Plaintext, sealed.Plaintext);
    assert.equal(opened.KeyId, key);
    const wrong = kms("Decrypt", { CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: "{}" });
    assert.equal(await code(wrong), "InvalidParameterValue.InvalidCiphertext");
  },
  async encryptAndReEncrypt() {
    const Plaintext = Buffer.from("a data key of another KMS key").toString("base64");
    const sealed = await kms("Encrypt", { KeyId: key, Plaintext, EncryptionContext: context });
    const parameters = {
      CiphertextBlob: sealed.CiphertextBlob,
      SourceEncryptionContext: context,
      DestinationEncryptionContext: context,
    };
    assert.equal((await kms("ReEncrypt", parameters)).ReEncrypted, false);
    await control({ rotate: { key } });
    const moved = await kms("ReEncrypt", parameters);
    assert.equal(moved.ReEncrypted, true);
    const opened = await kms("Decrypt", { CiphertextBlob: moved.CiphertextBlob, EncryptionContext: context });
    assert.equal(opened.Plaintext, Plaintext);
  },
  async keys() {
    const created = await kms("CreateKey", { Alias: "node-created", Description: "created by the Node SDK" });
    const KeyId = created.KeyId;
    assert.equal((await kms("DescribeKey", { KeyId })).KeyMetadata.Alias, "node-created");
    assert.equal((await kms("DescribeKeys", { KeyIds: [KeyId] })).KeyMetadatas.length, 1);
    assert.ok((await kms("ListKeys", { Limit: 200 })).Keys.some((listed) => listed.KeyId === KeyId));
    const found = await kms("ListKeyDetail", { SearchKeyAlias: "node-created" });
    assert.deepEqual(
      found.KeyMetadatas.map((listed) => listed.KeyId),
      [KeyId],
    );
    await kms("DisableKey", { KeyId });
    assert.equal(await code(kms("GenerateDataKey", { KeyId, KeySpec: "AES_256" })), "ResourceUnavailable.CmkDisabled");
    await kms("EnableKey", { KeyId });
    await kms("EnableKeyRotation", { KeyId, RotateDays: 30 });
    assert.equal((await kms("GetKeyRotationStatus", { KeyId })).KeyRotationEnabled, true);
    await kms("DisableKeyRotation", { KeyId });
    assert.equal((await kms("GetKeyRotationStatus", { KeyId })).KeyRotationEnabled, false);
  },
  async service() {
    assert.equal((await kms("GetServiceStatus", {})).ServiceEnabled, true);
    assert.ok((await kms("GetRegions", {})).Regions.includes(region));
    assert.ok((await kms("ListAlgorithms", {})).SymmetricAlgorithms.length > 0);
  },
  async errors() {
    const absent = "23e80852-1e38-11e9-b129-5cb9019b4b01";
    assert.equal(await code(kms("DescribeKey", { KeyId: absent })), "ResourceUnavailable.CmkNotFound");
    assert.equal(await code(kms("DescribeKey", { KeyId: key, Unknown: 1 })), "UnknownParameter");
    assert.equal(await code(kms("Describe", { KeyId: key })), "InvalidAction");
    const wrong = { ...longLived, secretKey: "wrong" };
    assert.equal(await code(kms("GetRegions", {}, wrong)), "AuthFailure.SignatureFailure");
    const error = await kms("DescribeKey", { KeyId: "alias" }).catch((error) => error);
    assert.equal(error.requestId.length, 36);
  },
  async faults() {
    const fault = (effect) => control({ fault: { action: "GetRegions", times: 1, effect } });
    await fault({ error: { code: "RequestLimitExceeded" } });
    assert.equal(await code(kms("GetRegions", {})), "RequestLimitExceeded"); // this SDK does not retry
    assert.ok(await kms("GetRegions", {}));
    await fault({ status: { status: 503 } });
    const error = await kms("GetRegions", {}).catch((error) => error);
    assert.equal(error.httpCode, 503);
    for (const effect of ["cut", "cutBody", "truncated"]) {
      await fault(effect);
      await assert.rejects(kms("GetRegions", {}), effect);
    }
    await fault({ contentType: { value: "application/json; charset=utf-8" } });
    assert.ok((await kms("GetRegions", {})).Regions);
  },
  async assumeRole() {
    const RoleArn = account + "emulator";
    const { Credentials } = await sts("AssumeRole", { RoleArn, RoleSessionName: "node", DurationSeconds: 900 });
    const who = { secretId: Credentials.TmpSecretId, secretKey: Credentials.TmpSecretKey, token: Credentials.Token };
    assert.ok(await kms("GetRegions", {}, who));
    assert.equal(await code(kms("GetRegions", {}, { ...who, token: "other" })), "AuthFailure.TokenFailure");
    await control("expireTemporary");
    assert.equal(await code(kms("GetRegions", {}, who)), "AuthFailure.TokenFailure");
    const absent = sts("AssumeRole", { RoleArn: account + "none", RoleSessionName: "node" });
    assert.equal(await code(absent), "ResourceNotFound.RoleNotFound");
  },
};

/** Pod tokens as API servers sign them: with RSA keys by default (RS256), or with P-256 keys (ES256). */
for (const [alg, type, options] of [
  ["RS256", "rsa", { modulusLength: 2048 }],
  ["ES256", "ec", { namedCurve: "P-256" }],
]) {
  cases[`assumeRoleWithPodToken${alg}`] = async () => {
    const { publicKey, privateKey } = crypto.generateKeyPairSync(type, options);
    const issuer = "https://issuer.example";
    const sub = "system:serviceaccount:envelope:controller";
    const jwks = { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k", alg, use: "sig" }] };
    await control({ provider: { id: "cls-node", issuer, audience: "sts.cloud.tencent.com", jwks } });
    const trust = { webIdentity: { provider: "cls-node", subject: sub } };
    const { arn } = await control({ role: { name: "pod", trust } });
    const token = (claims) => {
      const now = Math.floor(Date.now() / 1000);
      const all = { iss: issuer, sub, aud: ["sts.cloud.tencent.com"], iat: now, nbf: now, exp: now + 600, ...claims };
      const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const signed = `${encode({ alg, kid: "k" })}.${encode(all)}`;
      const how = { key: privateKey, dsaEncoding: "ieee-p1363" };
      return `${signed}.${crypto.sign("sha256", Buffer.from(signed), how).toString("base64url")}`;
    };
    const assume = (claims) =>
      sts(
        "AssumeRoleWithWebIdentity",
        { ProviderId: "cls-node", WebIdentityToken: token(claims), RoleArn: arn, RoleSessionName: "node" },
        { skipSign: true },
      );
    const { Credentials } = await assume({});
    const who = { secretId: Credentials.TmpSecretId, secretKey: Credentials.TmpSecretKey, token: Credentials.Token };
    assert.ok(await kms("GetRegions", {}, who));
    const refused = "InvalidParameter.WebIdentityTokenError";
    assert.equal(await code(assume({ aud: ["other"] })), refused);
    assert.equal(await code(assume({ iss: "https://other.example" })), refused);
    assert.equal(await code(assume({ exp: 1 })), refused);
    assert.equal(await code(assume({ sub: "system:serviceaccount:envelope:other" })), "UnauthorizedOperation");
    assert.equal(
      await code(client("2019-01-18", longLived).request("GetRegions", {}, { skipSign: true })),
      "AuthFailure.InvalidAuthorization",
    );
  };
}

const succeeded = new Set();

cases.everyActionHasSucceeded = async () => {
  assert.deepEqual(
    actions.filter((action) => !succeeded.has(action)),
    [],
  );
};

// Last, because these run our own programs.
Object.assign(cases, compare.cases);

(async () => {
  let failed = 0;
  for (const [name, run] of Object.entries(cases)) {
    await control("clearFaults");
    await control("clearCounts");
    const start = Date.now();
    try {
      await run();
      console.log(`node ${name} ... ok (${((Date.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`node ${name} ... FAILED\n${error.stack}`);
    }
    for (const row of await control("counts")) if (row.failed < row.total) succeeded.add(row.action);
  }
  const passed = Object.keys(cases).length - failed;
  console.log(`${passed} passed, ${failed} failed, ${compare.compared.length} requests compared`);
  process.exitCode = failed ? 1 : 0;
})();
