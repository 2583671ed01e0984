/** The inn's front at dusk: a row of arches, one in five with a lamp in it. */
export function Arcade() {
  return (
    <svg aria-hidden="true" className="h-14 w-full text-line" height="56">
      <defs>
        <pattern id="arcade" width="200" height="56" patternUnits="userSpaceOnUse">
          {[0, 40, 80, 120, 160].map((x) => (
            <path
              key={x}
              d={`M${x + 5} 56V27C${x + 5} 17 ${x + 12} 13 ${x + 20} 8C${x + 28} 13 ${x + 35} 17 ${x + 35} 27V56Z`}
              fill={x === 80 ? "var(--lamp-wash)" : "var(--sunken)"}
              stroke="currentColor"
            />
          ))}
          <circle cx="100" cy="35" r="4" fill="var(--lamp)" />
          <path d="M0 55.5H200" stroke="currentColor" />
        </pattern>
      </defs>
      <rect width="100%" height="56" fill="url(#arcade)" />
    </svg>
  );
}
