// The query editor: GraphiQL from the hub's own files, with questions to begin with and, beside each answer, how it came about.

import { drawAnswer, drawEmpty } from "./answers.js";
import { ask } from "./api.js";
import { el, part } from "./elements.js";
import { EXAMPLES } from "./examples.js";
import { word } from "./vocabulary.js";

/** @typedef {import("./examples.js").Example} Example */

// GraphiQL and React come as plain scripts that leave their names on the window.
const { React, ReactDOM, GraphiQL } = /** @type {any} */ (window);
const h = React.createElement;

/** Who asks: the cookie of the hub's own pages goes with every question. */
let signedIn = false;

/** Says at the head of the page who asks, or where to sign in. */
async function drawAccount() {
  const { me } = await ask("query Asker { me { displayName roles } }").catch(() => ({ me: null }));
  signedIn = me !== null;
  const roles = me?.roles.map(word).join(", ");
  part("asker").replaceChildren(
    me ? el("span", { title: roles }, el("span", { class: "name" }, me.displayName), roles && el("span", { class: "role" }, roles)) : el("a", { href: "/sign-in#graphql" }, "Sign in"),
  );
}

/**
 * Sends a question as GraphiQL asks for it.
 * @param {import("./answers.js").Question} question
 * @param {{ headers?: Record<string, string> }} [options]
 */
async function fetcher(question, options) {
  const begun = performance.now();
  const answer = await fetch("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", ...options?.headers },
    body: JSON.stringify(question),
  });
  const text = await answer.text();
  const elsewhere = performance.now() - begun;
  const result = parsed(text) ?? { errors: [{ message: `The hub answered with status ${answer.status}: ${text.slice(0, 200)}` }] };
  // The editor's own question for the schema is not one that somebody asked.
  if (question.operationName !== "IntrospectionQuery") {
    // Signing in and out are questions too.
    if (/\bsign(In|Out)\b/.test(/** @type {string} */ (/** @type {any} */ (question).query))) void drawAccount();
    void drawAnswer(question, { timing: answer.headers.get("server-timing"), elsewhere, bytes: new Blob([text]).size, result }, signedIn);
  }
  return result;
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A phone shows the list of examples or the question, not both. */
const narrow = matchMedia("(max-width: 699px)");

const known = new Set(EXAMPLES.map(({ query }) => query.trim()));

/** The list of examples, as one of GraphiQL's own side panels. */
function Examples() {
  const editor = GraphiQL.React.useEditorContext({ nonNull: true });
  const execution = GraphiQL.React.useExecutionContext({ nonNull: true });
  const sides = GraphiQL.React.usePluginContext({ nonNull: true });
  const [picked, pick] = React.useState(/** @type {Example | null} */ (null));
  const { queryEditor, variableEditor, addTab } = editor;

  // Running reads the editors as they stand a moment after they were filled.
  const run = React.useRef(execution.run);
  run.current = execution.run;
  // In an effect, because a tab that was just added takes the editors first.
  React.useEffect(() => {
    if (!picked || !queryEditor || !variableEditor) return;
    if (narrow.matches) sides.setVisiblePlugin(null);
    queryEditor.setValue(picked.query);
    variableEditor.setValue(picked.variables ? JSON.stringify(picked.variables) : "");
    // It follows what is typed with a delay; until then it would still name the operation that stood there.
    queryEditor.operationName = null;
    pick(null);
    setTimeout(() => run.current(), 0);
    // What was filled while it was hidden is drawn only when it is asked to.
    if (narrow.matches) setTimeout(() => [queryEditor, variableEditor].forEach((editor) => editor.refresh()), 100);
  }, [picked, queryEditor, variableEditor]);
  React.useEffect(() => {
    if (!queryEditor || !variableEditor) return;
    allowShapes(variableEditor);
    for (const editor of [queryEditor, variableEditor]) editor.setOption("lineWrapping", true);
    document.body.dataset.ready = "true";
  }, [queryEditor, variableEditor]);

  /** @param {Example} example */
  const choose = (example) => {
    const written = queryEditor?.getValue().trim() ?? "";
    // What somebody wrote stays in its tab.
    if (written && !known.has(written)) addTab();
    pick(example);
  };

  return h(
    "section",
    { className: "examples", "aria-label": "Examples" },
    h("h2", null, "Examples"),
    h(
      "ul",
      null,
      EXAMPLES.map((example) =>
        h(
          "li",
          { key: example.name },
          h("button", { type: "button", onClick: () => choose(example) }, h("strong", null, example.name), h("span", null, example.about)),
        ),
      ),
    ),
  );
}

/**
 * GraphiQL marks every list or object that stands for a scalar of ours as a mistake; positions and shapes are just that.
 * @param {any} editor  CodeMirror's, for the variables
 */
function allowShapes(editor) {
  const options = editor.state.lint?.options;
  const check = editor.getHelper({ line: 0, ch: 0 }, "lint");
  if (!options || !check) return;
  options.getAnnotations = (/** @type {unknown[]} */ ...said) =>
    check(...said).filter((/** @type {{ message: string }} */ { message }) => !/^Expected value of type "(Position|BBox|\w*GeoJSON)/.test(message));
}

/** The side bar's sign for the list of examples. */
const Lines = () =>
  h(
    "svg",
    { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.6, strokeLinecap: "round", strokeLinejoin: "round", "aria-hidden": true },
    h("path", { d: "M4 6h16M4 12h16M4 18h10" }),
  );

const examples = { title: "Examples", icon: Lines, content: Examples };

drawEmpty();
void drawAccount();
ReactDOM.createRoot(part("editor")).render(
  h(
    GraphiQL,
    {
      fetcher,
      plugins: [examples],
      visiblePlugin: examples,
      defaultQuery: EXAMPLES[0].query,
      defaultEditorToolsVisibility: "variables",
      isHeadersEditorEnabled: true,
      showPersistHeadersSettings: false,
    },
    h(GraphiQL.Logo, null, h("span", { className: "no-logo" })),
  ),
);
