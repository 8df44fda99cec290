/* Runs the self-test of @NAME@ and says so: PASS on the serial port and a slow blink, or FAIL and a fast one. */
#include <@NAME@.h>

extern "C" int @NAME@_selftest(void); /* in @NAME@_selftest.c of this sketch: how many sequences differ */

#ifndef LED_BUILTIN
#define LED_BUILTIN 13
#endif

static unsigned long half_period;

void setup()
{
    pinMode(LED_BUILTIN, OUTPUT);
    Serial.begin(115200);
    unsigned long start = micros();
    int failed = @NAME@_selftest();
    unsigned long taken = micros() - start;
    Serial.print(failed ? "FAIL" : "PASS");
    Serial.print(", microseconds of the whole self-test: ");
    Serial.println(taken);
    half_period = failed ? 100 : 500;
}

void loop()
{
    digitalWrite(LED_BUILTIN, HIGH);
    delay(half_period);
    digitalWrite(LED_BUILTIN, LOW);
    delay(half_period);
}
