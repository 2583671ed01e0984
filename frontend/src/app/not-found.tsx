import { App } from "@/shell/App";

/** What unknown addresses get, with status 404. */
export default function NotFound() {
  return <App />;
}
