// What our client sends, beside what Tencent Cloud's Node SDK sends for the same call: field by field.
"use strict";

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const dns = require("node:dns");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { account, actions, client, code, host, lasting, order, region } = require("./node_sdk.js");

// The action of each request of ours that was compared.
const compared = [];

// Headers that mean nothing to the API: we need not send them.
const free = new Set(["accept-encoding", "connection", "x-tc-traceid"]);
// Headers whose values are each one's own; what can be compared of them is, below.
const own = ["accept", "authorization", "content-length", "host", "user-agent", "x-tc-requestclient", "x-tc-timestamp"];

// The SDK takes the service that it signs for from the host's name: this machine under the service's name.
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);
const port = new URL(`http://${host}`).port;
const as = (service, version) => client(version, lasting, `${service}.localhost:${port}`);

/** One of our programs, which may fail. */
function run(program, args, input = "", variables = {}) {
  return spawnSync(process.env[program], args, { input, encoding: "utf8", env: { ...process.env, ...variables } });
}

/** Since the last `clearCounts`, the oldest first. */
const requests = async () => (await order("requests")).reverse();

/** Algorithm, secret id and scope; the names of the signed headers. */
function authorization(headers) {
  const [, algorithm, id, scope, signed, signature] = headers.authorization.match(
    /^(\S+) Credential=([^/]+)\/(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/,
  );
  assert.ok(signature);
  return [[algorithm, id, scope], signed.split(";")];
}

/** Every header and every parameter. */
function compare(ours, theirs) {
  const [action, mine, other] = [ours.action, ours.headers, theirs.headers];
  assert.equal(theirs.action, action);
  assert.match(other["x-tc-requestclient"], /^SDK_NODEJS_/);
  const onlyOurs = Object.keys(mine).filter((name) => !(name in other));
  assert.deepEqual(onlyOurs, [], `${action}: only we send them`);
  const onlyTheirs = Object.keys(other).filter((name) => !(name in mine) && !free.has(name));
  assert.deepEqual(onlyTheirs, [], `${action}: only the SDK sends them`);
  for (const name of Object.keys(mine).filter((name) => !own.includes(name))) {
    assert.equal(mine[name], other[name], `${action}: ${name}`);
  }
  const apart = Number(mine["x-tc-timestamp"]) - Number(other["x-tc-timestamp"]);
  assert.ok(Math.abs(apart) < 60, `${action}: ${apart} s apart`);
  if (other.authorization === "SKIP") {
    assert.equal(mine.authorization, "SKIP");
  } else {
    const [[same, signed], [wanted, least]] = [authorization(mine), authorization(other)];
    assert.deepEqual(same, wanted, action);
    for (const name of least) assert.ok(signed.includes(name), `${action}: ${name} is signed`);
  }
  assert.deepEqual(ours.body, theirs.body, action);
  compared.push(action);
}

/** Makes the SDK call as our program did; `refused` is the code that it gets. */
async function again(ours, sdk, refused, options) {
  const called = sdk.request(ours.action, ours.body, options);
  if (refused) assert.equal(await code(called), refused);
  else await called;
  compare(ours, (await requests()).at(-1));
}

const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: conformance}\n";

const cases = {
  async ourClientSendsWhatTheSdkSends() {
    const done = run("EVERY_CALL", ["node-ours"]);
    assert.equal(done.status, 0, done.stderr);
    // It asks for a new one of the same alias.
    const refused = { CreateKey: "InvalidParameterValue.AliasAlreadyExists" };
    for (const ours of await requests()) await again(ours, as("kms", "2019-01-18"), refused[ours.action]);
  },
  async ourProgramTakesARoleAsTheSdkDoes() {
    run("ENVELOPE", ["seal", "--tencent-role-arn", `${account}emulator`], secret);
    const ours = (await requests()).find((request) => request.action === "AssumeRole");
    await again(ours, as("sts", "2018-08-13"));
  },
  async ourProgramTakesAPodsRoleAsTheSdkDoes() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "envelope-secrets-"));
    try {
      const token = path.join(folder, "token");
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
      fs.rmSync(folder, { recursive: true });
    }
    const ours = (await requests()).find((request) => request.action === "AssumeRoleWithWebIdentity");
    await again(ours, as("sts", "2018-08-13"), "InvalidParameter.ParamError", { skipSign: true });
  },
  async everyActionWasCompared() {
    assert.deepEqual(
      actions.filter((action) => !compared.includes(action)),
      [],
    );
  },
};

module.exports = { cases, compared };
