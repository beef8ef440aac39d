#!/usr/bin/env node
/*
 * Prisma's query engine over HTTP, for the Prisma client of Python.
 *
 * Prisma publishes its engine in two forms: as a program, which no package registry has, and as WebAssembly in the npm package
 * @prisma/client. This file runs the second and has the interface of the first. The engine answers every query, by SQL to PostgreSQL.
 * The only translation is that of the request: the client of Python writes GraphQL, the WebAssembly reads Prisma's JSON protocol.
 *
 * Environment: PRISMA_MODULES: a folder with node_modules. DATABASE_URL. PRISMA_DML_PATH: the schema.
 */
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

// The client asks for the version of the program before it starts it.
if (process.argv.includes("--version")) {
  console.log("query-engine of @prisma/client");
  process.exit(0);
}

const load = require("node:module").createRequire(path.join(process.env.PRISMA_MODULES, "node_modules", "/"));
const graphql = load("graphql");
const { Pool } = load("pg");
const { PrismaPg } = load("@prisma/adapter-pg");
const { bindAdapter } = load("@prisma/driver-adapter-utils");
const wasm = load("@prisma/client/runtime/query_engine_bg.postgresql.js");
const TRACE = "{}";
const METHODS = /^(findMany|findFirst|findUnique|createOne|createMany|updateOne|updateMany|deleteOne|deleteMany|upsertOne|aggregate|groupBy)(\w+?)(OrThrow)?$/;

// The fields of each model in the schema, with their types.
function modelsOf(schema) {
  const models = {};
  for (const [, name, body] of schema.matchAll(/^model (\w+) \{$(.*?)^\}$/gms)) {
    models[name] = Object.fromEntries([...body.matchAll(/^ +(\w+) +(\w+)/gm)].map(([, field, type]) => [field, type]));
  }
  return models;
}

const MODELS = modelsOf(fs.readFileSync(process.env.PRISMA_DML_PATH, "utf8"));
const JSON_FILTERS = new Set(["equals", "not", "array_contains", "array_starts_with", "array_ends_with"]);

// A GraphQL value as one of the JSON protocol. GraphQL writes a value of the type Json as a string.
// Integers may be too large for a JavaScript number.
function valueOf(node, fields, type) {
  switch (node.kind) {
    case "ObjectValue": {
      const inside = MODELS[type] ?? fields;
      const typeOf = (name) => (type === "Json" ? (JSON_FILTERS.has(name) ? "Json" : undefined) : inside[name]);
      return Object.fromEntries(node.fields.map(({ name, value }) => [name.value, valueOf(value, inside, typeOf(name.value))]));
    }
    case "ListValue":
      return node.values.map((one) => valueOf(one, fields, type));
    case "NullValue":
      return null;
    case "StringValue":
      return type === "Json" ? { $type: "Json", value: node.value } : node.value;
    case "IntValue":
      return Number.isSafeInteger(Number(node.value)) ? Number(node.value) : { $type: "BigInt", value: node.value };
    case "FloatValue":
      return Number(node.value);
    default:
      return node.value;
  }
}

function queryOf(field, model) {
  const fields = MODELS[model] ?? {};
  const query = { arguments: {}, selection: {} };
  for (const { name, value } of field.arguments) query.arguments[name.value] = valueOf(value, fields);
  for (const one of field.selectionSet?.selections ?? []) {
    const plain = !one.selectionSet && !one.arguments.length;
    query.selection[one.name.value] = plain ? true : queryOf(one, fields[one.name.value]);
  }
  return query;
}

function requestOf(text) {
  const [field] = graphql.parse(text).definitions[0].selectionSet.selections;
  const name = field.name.value;
  if (name === "queryRaw" || name === "executeRaw") return { action: name, query: queryOf(field) };
  const [, action, modelName, orThrow = ""] = METHODS.exec(name);
  return { modelName, action: action + orThrow, query: queryOf(field, modelName) };
}

// The JSON protocol marks values that JSON has no type for; GraphQL's answers have them bare.
function bare(value) {
  if (Array.isArray(value)) return value.map(bare);
  if (value === null || typeof value !== "object") return value;
  if ("$type" in value) return value.value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, bare(one)]));
}

function answerOf(answer) {
  if (answer.data) return { data: { result: bare(Object.values(answer.data)[0]) } };
  return answer;
}

async function start() {
  const bytes = fs.readFileSync(load.resolve("@prisma/client/runtime/query_engine_bg.postgresql.wasm"));
  const { instance } = await WebAssembly.instantiate(bytes, { "./query_engine_bg.js": wasm });
  wasm.__wbg_set_wasm(instance.exports);
  const overwritten = JSON.parse(process.env.OVERWRITE_DATASOURCES ?? "[]");
  const connectionString = overwritten[0]?.url ?? process.env.DATABASE_URL;
  const settings = {
    datamodel: fs.readFileSync(process.env.PRISMA_DML_PATH, "utf8"),
    env: process.env,
    logQueries: false,
    ignoreEnvVarErrors: true,
    datasourceOverrides: {},
    logLevel: "error",
    configDir: ".",
    engineProtocol: "json",
  };
  const adapter = bindAdapter(new PrismaPg(new Pool({ connectionString, max: 10 })));
  const engine = new wasm.QueryEngine(settings, (line) => console.error(line), adapter);
  await engine.connect(TRACE);
  return { engine, adapter };
}

// The engine names an error of PostgreSQL's driver by a number.
function withDriverErrors(answer, adapter) {
  for (const one of answer.errors ?? []) {
    const meta = one.user_facing_error?.meta;
    if (meta && "id" in meta) {
      one.error = String(adapter.errorRegistry.consumeError(meta.id)?.error);
      one.user_facing_error.message = one.error;
    }
  }
  return answer;
}

async function answer({ engine, adapter }, method, url, body, transaction) {
  if (url === "/status") return { status: "ok" };
  const [, kind, id, end] = url.split("/");
  if (kind === "transaction" && id === "start") return JSON.parse(await engine.startTransaction(body, TRACE));
  if (kind === "transaction" && end === "commit") return JSON.parse(await engine.commitTransaction(id, TRACE));
  if (kind === "transaction" && end === "rollback") return JSON.parse(await engine.rollbackTransaction(id, TRACE));
  if (method !== "POST" || url !== "/") return null;
  const asked = JSON.parse(body);
  const batch = asked.batch?.map((one) => requestOf(one.query));
  const request = batch ? { batch, transaction: asked.transaction ? {} : undefined } : requestOf(asked.query);
  const given = JSON.parse(await engine.query(JSON.stringify(request), TRACE, transaction));
  if (given.batchResult) return { batchResult: given.batchResult.map((one) => answerOf(withDriverErrors(one, adapter))) };
  return answerOf(withDriverErrors(given, adapter));
}

async function main() {
  const parts = await start();
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    try {
      const given = await answer(parts, request.method, request.url, body, request.headers["x-transaction-id"]);
      const status = given === null ? 404 : given.error_code ? 400 : 200;
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(given));
    } catch (error) {
      console.error(error);
      response.writeHead(500).end(String(error));
    }
  });
  // "localhost" may be either address.
  const port = Number(process.argv[process.argv.indexOf("-p") + 1]);
  server.listen({ port, host: "localhost" });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
