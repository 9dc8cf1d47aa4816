// Tencent Cloud's Node SDK and the emulator: what the cases are made of.
"use strict";

const assert = require("node:assert/strict");
const { CommonClient } = require("tencentcloud-sdk-nodejs-common");

const host = new URL(process.env.ENVELOPE_TENCENT_ENDPOINT).host;
const [region, key] = process.env.ENVELOPE_KEY.replace("tencent-kms://", "").split("/");
const lasting = {
  secretId: process.env.TENCENTCLOUD_SECRET_ID,
  secretKey: process.env.TENCENTCLOUD_SECRET_KEY,
};
const account = "qcs::cam::uin/100000000001:roleName/";
// Every action of the emulator that our client calls.
const actions = require("./actions.json");
const context = '{"name":"db","namespace":"prod"}';

async function order(command) {
  const answer = await fetch(process.env.EMULATOR_CONTROL, { method: "POST", body: JSON.stringify(command) });
  const body = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(body));
  return body;
}

function client(version, credential, endpoint = host) {
  const profile = { language: "en-US", httpProfile: { protocol: "http://", reqTimeout: 2 } };
  return new CommonClient(endpoint, version, { credential, region, profile });
}

const kms = (action, parameters, credential = lasting) => client("2019-01-18", credential).request(action, parameters);
const sts = (action, parameters, options) => client("2018-08-13", lasting).request(action, parameters, options);

async function code(promise) {
  const error = await promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );
  if (error instanceof assert.AssertionError) throw error;
  return error.code;
}

module.exports = { account, actions, client, code, context, host, key, kms, lasting, order, region, sts };
