const jwtToken = process.env.TOKEN;

// The document from here on, to the letter; the test puts the gateway's address before the path.
async function checkCredits() {
  const response = await fetch('/api/openrouter/credits', {
    headers: {
      'Authorization': `Bearer ${jwtToken}`
    }
  });

  const credits = await response.json();

  if (credits.remaining_credits < 1.0) {
    console.warn('Low balance warning!');
    console.log(`Remaining: $${credits.remaining_credits}`);
  }

  return credits;
}

// Monitor credits periodically
setInterval(checkCredits, 300000); // Check every 5 minutes

// The document up to here.

const credits = await checkCredits();
console.log(JSON.stringify(credits));
process.exit(0); // the document's interval would keep it running
