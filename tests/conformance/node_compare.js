// Compares the requests of our client with those of Tencent Cloud's Node SDK for the same calls, field by field.
"use strict";

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const dns = require("node:dns");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { account, actions, client, code, host, longLived, control, region } = require("./node_sdk.js");

// The action of each compared request.
const compared = [];

// Headers that have no meaning for the API: our client need not send them.
const optional = new Set(["accept-encoding", "connection", "x-tc-traceid"]);
// Headers whose values differ; the comparable parts are compared separately.
const different = ["accept", "authorization", "content-length", "host", "user-agent", "x-tc-requestclient", "x-tc-timestamp"];

// The SDK derives the service in the signature from the host name, so loopback gets a name that starts with the service.
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);
const port = new URL(`http://${host}`).port;
const as = (service, version) => client(version, longLived, `${service}.localhost:${port}`);

/** Runs one of our programs, which may fail. */
function run(program, args, input = "", variables = {}) {
  return spawnSync(process.env[program], args, { input, encoding: "utf8", env: { ...process.env, ...variables } });
}

/** Returns the requests since the last `clearCounts`, the oldest first. */
const requests = async () => (await control("requests")).reverse();

/** Returns the algorithm, secret id and scope, and the names of the signed headers. */
function authorization(headers) {
  const [, algorithm, id, scope, signed, signature] = headers.authorization.match(
    /^(\S+) Credential=([^/]+)\/(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/,
  );
  assert.ok(signature);
  return [[algorithm, id, scope], signed.split(";")];
}

/** Compares every header and every parameter of two requests. */
function compare(ours, theirs) {
  const [action, mine, other] = [ours.action, ours.headers, theirs.headers];
  assert.equal(theirs.action, action);
  assert.match(other["x-tc-requestclient"], /^SDK_NODEJS_/);
  const onlyOurs = Object.keys(mine).filter((name) => !(name in other));
  assert.deepEqual(onlyOurs, [], `${action}: only we send them`);
  const onlyTheirs = Object.keys(other).filter((name) => !(name in mine) && !optional.has(name));
  assert.deepEqual(onlyTheirs, [], `${action}: only the SDK sends them`);
  for (const name of Object.keys(mine).filter((name) => !different.includes(name))) {
    assert.equal(mine[name], other[name], `${action}: ${name}`);
  }
  const apart = Number(mine["x-tc-timestamp"]) - Number(other["x-tc-timestamp"]);
  assert.ok(Math.abs(apart) < 60, `${action}: ${apart} s apart`);
  if (other.authorization === "SKIP") {
    assert.equal(mine.authorization, "SKIP");
  } else {
    const [[same, signed], [wanted, required]] = [authorization(mine), authorization(other)];
    assert.deepEqual(same, wanted, action);
    for (const name of required) assert.ok(signed.includes(name), `${action}: ${name} is signed`);
  }
  assert.deepEqual(ours.body, theirs.body, action);
  compared.push(action);
}

/** Repeats a call of our program with the SDK, which expects the error code `refused`, and compares both requests. */
async function repeat(ours, sdk, refused, options) {
  const called = sdk.request(ours.action, ours.body, options);
  if (refused) assert.equal(await code(called), refused);
  else await called;
  compare(ours, (await requests()).at(-1));
}

const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: conformance}\n";

const cases = {
  async ourClientSendsTheSameRequestsAsTheSdk() {
    const done = run("EVERY_CALL", ["node-ours"]);
    assert.equal(done.status, 0, done.stderr);
    // The SDK repeats the call with the same alias.
    const refused = { CreateKey: "InvalidParameterValue.AliasAlreadyExists" };
    for (const ours of await requests()) await repeat(ours, as("kms", "2019-01-18"), refused[ours.action]);
  },
  async ourProgramAssumesARoleLikeTheSdk() {
    run("ENVELOPE", ["seal", "--tencent-role-arn", `${account}emulator`], secret);
    const ours = (await requests()).find((request) => request.action === "AssumeRole");
    await repeat(ours, as("sts", "2018-08-13"));
  },
  async ourProgramAssumesAPodRoleLikeTheSdk() {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "envelope-secrets-"));
    try {
      const token = path.join(directory, "token");
      fs.writeFileSync(token, "no.token.here\n");
      run("ENVELOPE", ["seal"], secret, {
        TENCENTCLOUD_SECRET_ID: "",
        TENCENTCLOUD_SECRET_KEY: "",
        TKE_REGION: region,
        TKE_PROVIDER_ID: "cls-unknown",
        TKE_ROLE_ARN: `${account}emulator`,
        TKE_WEB_IDENTITY_TOKEN_FILE: token,
      });
    } finally {
      fs.rmSync(directory, { recursive: true });
    }
    const ours = (await requests()).find((request) => request.action === "AssumeRoleWithWebIdentity");
    await repeat(ours, as("sts", "2018-08-13"), "InvalidParameter.ParamError", { skipSign: true });
  },
  async everyActionWasCompared() {
    assert.deepEqual(
      actions.filter((action) => !compared.includes(action)),
      [],
    );
  },
};

module.exports = { cases, compared };
