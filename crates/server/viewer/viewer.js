// Shows openapi.json to people: every address with its parameters, bodies and answers, and a curl line.
// Builds elements, never markup from text.

/** Makes an element with attributes and children; texts become text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const code = (text) => element("code", {}, text);

/** Words with `code` between backticks. */
function prose(words) {
  const parts = (words ?? "").split("`").map((part, index) => (index % 2 === 1 ? code(part) : part));
  return element("span", {}, ...parts);
}

/** Follows a reference into the components. */
function resolved(schema, all) {
  const name = schema?.$ref?.split("/").pop();
  return name ? { name, ...all.components.schemas[name] } : (schema ?? {});
}

/** A schema's type in a few words. */
function typeOf(schema, all) {
  const of = resolved(schema, all);
  if (of.name) return of.name;
  const choices = of.oneOf ?? of.anyOf;
  if (choices) return choices.map((choice) => typeOf(choice, all)).join(" or ");
  const types = [of.type ?? "any"].flat();
  return types.map((type) => (type === "array" ? `list of ${typeOf(of.items, all)}` : type)).join(" or ");
}

/** Ends of a range and patterns, where there are some. */
function limitsOf(schema) {
  const said = [];
  if (schema?.minimum !== undefined || schema?.maximum !== undefined) {
    said.push(`${schema.minimum ?? "…"} to ${schema.maximum ?? "…"}`);
  }
  if (schema?.minItems !== undefined) said.push(`${schema.minItems} to ${schema.maxItems} items`);
  if (schema?.pattern) said.push(schema.pattern);
  return said.join(", ");
}

function table(title, head, rows) {
  const line = (cell, cells) => element("tr", {}, ...cells.map((content) => element(cell, {}, content)));
  const body = element("tbody", {}, ...rows.map((cells) => line("td", cells)));
  const whole = element("table", {}, element("caption", {}, title), element("thead", {}, line("th", head)), body);
  return element("div", { class: "wide" }, whole);
}

function fieldsOf(schema, all, title) {
  const of = resolved(schema, all);
  if (!of.properties) return null;
  const rows = Object.entries(of.properties).map(([name, field]) => [
    code(name),
    typeOf(field, all),
    (of.required ?? []).includes(name) ? "yes" : "no",
    limitsOf(resolved(field, all)),
    prose(field.description ?? resolved(field, all).description),
  ]);
  return table(title, ["field", "type", "always", "limits", "about"], rows);
}

function parameters(operation, all) {
  if (!operation.parameters?.length) return null;
  const rows = operation.parameters.map((parameter) => [
    code(parameter.name),
    parameter.in,
    typeOf(parameter.schema, all),
    parameter.required ? "yes" : "no",
    prose([parameter.description, limitsOf(parameter.schema)].filter(Boolean).join(" ")),
  ]);
  return table("Parameters", ["name", "in", "type", "needed", "about"], rows);
}

function bodies(operation, all) {
  const content = operation.requestBody?.content ?? {};
  return Object.entries(content).flatMap(([media, { schema }]) => {
    const fields = fieldsOf(schema, all, `Body, ${media}`);
    return [fields ?? element("p", { class: "soft" }, `Body, ${media}: ${typeOf(schema, all)}`)];
  });
}

function answers(operation, all) {
  const rows = Object.entries(operation.responses ?? {}).map(([status, answer]) => {
    const kinds = Object.entries(answer.content ?? {}).map(([media, { schema }]) => `${typeOf(schema, all)} (${media})`);
    return [code(status), answer.description, kinds.join(", ")];
  });
  return table("Answers", ["status", "when", "body"], rows);
}

/** A line for a shell that calls the address. */
function curl(method, path, operation) {
  const address = new URL(`.${path}`, new URL("./", document.baseURI)).href.replaceAll("%7B", "{").replaceAll("%7D", "}");
  const words = ["curl"];
  if (method !== "get") words.push(`-X ${method.toUpperCase()}`);
  const content = operation.requestBody?.content ?? {};
  if (content["application/json"]) words.push("--json '{…}'");
  else if (Object.keys(content).length) words.push("--data-binary @photo.jpg");
  return element("pre", {}, `${words.join(" ")} '${address}'`);
}

function operationCard(method, path, operation, all) {
  const id = operation.operationId ?? `${method}${path}`;
  const summary = element(
    "summary", {},
    element("span", { class: "method" }, method.toUpperCase()), " ", code(path), " ",
    element("span", { class: "soft" }, operation.summary ?? ""),
  );
  const inside = element(
    "div", { class: "inside" },
    operation.description ? element("p", {}, prose(operation.description)) : null,
    parameters(operation, all), ...bodies(operation, all), answers(operation, all), curl(method, path, operation),
  );
  return element("details", { id }, summary, inside);
}

function operationsByTag(all) {
  const groups = new Map((all.tags ?? []).map((tag) => [tag.name, { about: tag.description, cards: [] }]));
  for (const [path, item] of Object.entries(all.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = operation.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, { about: "", cards: [] });
      groups.get(tag).cards.push(operationCard(method, path, operation, all));
    }
  }
  return groups;
}

function schemaCards(all) {
  return Object.entries(all.components?.schemas ?? {}).map(([name, schema]) =>
    element(
      "details", { id: `schema-${name}` },
      element("summary", {}, code(name), " ", element("span", { class: "soft" }, prose(schema.description))),
      element("div", { class: "inside" }, fieldsOf(schema, all, "Fields") ?? element("p", {}, typeOf(schema, all))),
    ),
  );
}

function show(all) {
  document.getElementById("about").replaceChildren(prose(`${all.info.description} Version ${all.info.version}.`));
  const main = document.getElementById("operations");
  const contents = element("ul");
  for (const [tag, { about, cards }] of operationsByTag(all)) {
    main.append(element("h2", { id: tag }, tag), element("p", { class: "soft" }, about ?? ""), ...cards);
    contents.append(element("li", {}, element("a", { href: `#${tag}` }, tag), ` (${cards.length})`));
  }
  main.append(element("h2", { id: "schemas" }, "schemas"), ...schemaCards(all));
  contents.append(element("li", {}, element("a", { href: "#schemas" }, "schemas")));
  document.getElementById("contents").append(contents);
}

try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  show(await answer.json());
} catch (error) {
  document.getElementById("about").textContent = `The description cannot be read: ${error.message}`;
}
