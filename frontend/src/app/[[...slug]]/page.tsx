import { App } from "@/shell/App";

export const dynamicParams = false;

export function generateStaticParams() {
  return [{ slug: [] }];
}

export default function Page() {
  return <App />;
}
