/* Runs the self-test of @NAME@ and prints PASS or FAIL. */
#include <stdio.h>

int @NAME@_selftest(void); /* in @NAME@_selftest.c: how many sequences differ */

void app_main(void)
{
    printf("%s\n", @NAME@_selftest() ? "FAIL" : "PASS");
}
