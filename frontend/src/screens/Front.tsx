import { useSession } from "@/session/session";
import { Home } from "./Home";
import { Landing } from "./Landing";

/** The same address for both: who is signed in wants their feed, who is not a way in. */
export default function Front() {
  const session = useSession();
  return session.status === "member" ? <Home /> : <Landing />;
}
