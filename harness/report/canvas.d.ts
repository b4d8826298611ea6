/** The shim in packages/canvas-shim carries no types of its own; these are the types of what it re-exports. */
declare module "canvas" {
  export * from "@napi-rs/canvas/node-canvas.js";
}
